//! A whole cluster of the tutorial's kind, whose tasks are real servers.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::runtime::Runtime;
use zookeeper_client::{Acls, Client, CreateMode};

use crate::{
    mesos::election::stand,
    support::{
        client::{exchange, query, request},
        eventually,
        marathon::{Marathon, app},
        mesos_master::MesosMaster,
        signpost::Signpost,
        zookeeper::Ensemble,
    },
};

const FRAMEWORK: &str = "f-0000";

/// The agents, by the last part of their addresses.
const AGENTS: [u8; 3] = [10, 11, 12];

/// Where rules are.
const RULES: &str = "/marathon-haproxy/state";

/// How many requests show which instances are asked: the proxy takes one after the other.
const SAMPLES: usize = 24;

/// Masters, Marathons and ZooKeeper, with signpost beside them.
pub(super) struct World {
    runtime: Runtime,
    pub(super) ensemble: Ensemble,
    client: Client,
    master: MesosMaster,
    marathon: Marathon,
    /// The znodes by which these two lead.
    leading: [String; 2],
    tasks: BTreeMap<String, Task>,
    pub(super) signpost: Signpost,
}

/// A task, and the server that it is.
struct Task {
    agent: u8,
    /// As Mesos and Marathon call it.
    state: &'static str,
    server: Server,
}

/// A server that says who it is, one request for each connection.
struct Server {
    address: SocketAddr,
    is_stopped: Arc<AtomicBool>,
}

impl Server {
    fn start(name: &str, agent: u8) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, agent), 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let is_stopped = Arc::<AtomicBool>::default();
        let (name, stopped) = (name.to_owned(), Arc::clone(&is_stopped));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(SeqCst) {
                    return;
                }
                let name = name.clone();
                // Who has asked may be gone.
                thread::spawn(move || answer(stream, &name).ok());
            }
        });
        Self {
            address,
            is_stopped,
        }
    }

    /// Ends at once, as a process that is killed does.
    fn stop(&self) {
        self.is_stopped.store(true, SeqCst);
        TcpStream::connect(self.address).ok();
    }
}

fn answer(stream: TcpStream, name: &str) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    if lines.take_while(|line| !line.is_empty()).count() == 0 {
        return Ok(());
    }
    let length = name.len();
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    writer.write_all(format!("{head}{name}").as_bytes())
}

impl World {
    /// Starts all, with the app `/web` that has no tasks; `None` where there is no ZooKeeper.
    pub(super) fn start() -> Option<Self> {
        let runtime = Runtime::new().unwrap();
        let ensemble = runtime.block_on(Ensemble::start(1))?;
        let client = runtime.block_on(ensemble.client(Duration::from_secs(30)));
        let agents = AGENTS.map(|agent| {
            let host = format!("127.0.0.{agent}");
            json!({"id": agent_id(agent), "hostname": host, "pid": format!("slave(1)@{host}:5051")})
        });
        let framework = json!({"id": FRAMEWORK, "name": "marathon", "hostname": "m",
            "pid": "scheduler-1@127.0.0.10:25501", "tasks": []});
        let master = MesosMaster::start(json!({"slaves": agents, "frameworks": [framework]}));
        let marathon = Marathon::start();
        let labels = json!({"HAPROXY_GROUP": "external", "HAPROXY_0_VHOST": "web.example",
            "HAPROXY_0_BALANCE": "roundrobin"});
        marathon.put(&app("/web", 10_000, labels, &[]));
        let leading = runtime.block_on(async {
            let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
            for path in ["/mesos", "/marathon/leader-curator", RULES] {
                client.mkdir(path, &options).await.unwrap();
            }
            let rule = r#"{"version":"2","config":{"Acl":"hdr(host) -i rule.example"}}"#;
            let path = format!("{RULES}/%2Fweb");
            client
                .create(&path, rule.as_bytes(), &options)
                .await
                .unwrap();
            [
                stand(&client, &master).await,
                lead(&client, &marathon).await,
            ]
        });
        let connect = ensemble.connect();
        let signpost = Signpost::start(&format!(
            "[sources.cluster.mesos]\nzk = 'zk://{connect}/mesos'\nip_sources = ['host']\n\
             [sources.apps.marathon]\nzk = 'zk://{connect}/marathon'\n\
             [sources.rules.bamboo]\nzk = 'zk://{connect}{RULES}'\n\
             [[dns.zones]]\ndomain = 'mesos'\nscheme = 'mesos'\nsources = ['cluster']\n\
             [compat.mesos_dns]\nlisten = '127.0.0.1:0'\n\
             [compat.marathon_lb]\ngroups = ['external']\nservice_ports = false\n\
             [proxy]\nbalancer = 'round_robin'\n[[proxy.listeners]]\nlisten = '127.0.0.1:0'\n"
        ));
        eventually("all is known", || signpost.get("/readyz").0 == 200);
        Some(Self {
            runtime,
            ensemble,
            client,
            master,
            marathon,
            leading,
            tasks: BTreeMap::new(),
            signpost,
        })
    }

    /// Starts a task on an agent, which runs when it has been staged.
    pub(super) fn run(&mut self, id: &str, agent: u8) {
        let server = Server::start(id, agent);
        let port = server.address.port();
        self.master.add(
            FRAMEWORK,
            &json!({"id": id, "name": "web", "framework_id": FRAMEWORK, "slave_id": agent_id(agent),
                "state": "TASK_STAGING", "resources": {"ports": format!("[{port}-{port}]")}}),
        );
        let task = Task {
            agent,
            state: "TASK_STAGING",
            server,
        };
        self.tasks.insert(id.to_owned(), task);
        self.set(id, "TASK_RUNNING");
    }

    /// Has a task in another state, for master and Marathon alike.
    pub(super) fn set(&mut self, id: &str, state: &'static str) {
        self.tasks.get_mut(id).unwrap().state = state;
        self.master.update(FRAMEWORK, id, state);
        let all = self.known_to_marathon();
        self.marathon.change("/web", |app| {
            app["instances"] = json!(all.len());
            app["tasks"] = json!(all);
        });
    }

    /// Kills a task as Marathon does: it is told, asked to end, and ends.
    pub(super) fn kill(&mut self, id: &str) {
        self.set(id, "TASK_KILLING");
        let other = self.expected();
        self.check_routed(&other);
        self.fail(id, "TASK_KILLED");
    }

    /// Has a task end before anybody knows it.
    pub(super) fn fail(&mut self, id: &str, state: &'static str) {
        self.tasks[id].server.stop();
        self.set(id, state);
        self.tasks.remove(id);
    }

    /// Loses an agent with all its tasks.
    pub(super) fn lose_agent(&mut self, agent: u8) {
        let on = self.tasks.iter().filter(|(_, task)| task.agent == agent);
        let ids: Vec<String> = on.map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.tasks[&id].server.stop();
            self.set(&id, "TASK_UNREACHABLE");
        }
        self.master.lose_agent(&agent_id(agent));
    }

    /// Has another master lead, as ZooKeeper says it; the one that led ends.
    pub(super) fn fail_over_master(&mut self) {
        let next = MesosMaster::start_at("127.0.0.2", self.master.state());
        self.master.stop();
        self.leading[0] = self.runtime.block_on(async {
            let znode = stand(&self.client, &next).await;
            self.client.delete(&self.leading[0], None).await.unwrap();
            znode
        });
        self.master = next;
    }

    /// Has another Marathon lead, which knows nothing of health as yet.
    pub(super) fn fail_over_marathon(&mut self) {
        let next = Marathon::start();
        next.set_apps(self.marathon.apps());
        self.marathon.stop();
        self.leading[1] = self.runtime.block_on(async {
            let znode = lead(&self.client, &next).await;
            self.client.delete(&self.leading[1], None).await.unwrap();
            znode
        });
        self.marathon = next;
    }

    /// Has neither a master nor a Marathon that answers.
    pub(super) fn lose_all_leaders(&self) {
        self.master.stop();
        self.marathon.stop();
    }

    /// Compares DNS, the API of Mesos-DNS and where requests go with what there is.
    pub(super) fn check(&self, what: &str) {
        let expected = self.expected();
        let running = self
            .tasks
            .values()
            .filter(|task| task.state == "TASK_RUNNING");
        let running: Vec<SocketAddr> = running.map(|task| task.server.address).collect();
        let ports: BTreeSet<u16> = running.iter().map(SocketAddr::port).collect();
        let hosts: BTreeSet<String> = running.iter().map(|one| one.ip().to_string()).collect();
        eventually(&format!("{what}: SRV"), || self.srv_ports() == ports);
        eventually(&format!("{what}: A"), || {
            self.signpost
                .dig(&["web.marathon.mesos"])
                .into_iter()
                .collect::<BTreeSet<_>>()
                == hosts
        });
        eventually(&format!("{what}: API"), || self.api_ports() == ports);
        self.check_routed(&expected);
    }

    fn check_routed(&self, expected: &BTreeSet<String>) {
        for host in ["web.example", "rule.example"] {
            eventually(&format!("{host} leads to {expected:?}"), || {
                let seen = (0..SAMPLES).map(|_| get(self.signpost.proxy(), host));
                seen.collect::<BTreeSet<_>>() == *expected
            });
        }
    }

    /// Names the tasks that get requests.
    fn expected(&self) -> BTreeSet<String> {
        let all = self.tasks.iter();
        let running = all.filter(|(_, task)| task.state == "TASK_RUNNING");
        running.map(|(id, _)| id.clone()).collect()
    }

    fn known_to_marathon(&self) -> Vec<Value> {
        let is_known = |state: &str| {
            let known = [
                "TASK_STAGING",
                "TASK_RUNNING",
                "TASK_KILLING",
                "TASK_UNREACHABLE",
            ];
            known.contains(&state)
        };
        let tasks = self.tasks.iter().filter(|(_, task)| is_known(task.state));
        let tasks = tasks.map(|(id, task)| {
            json!({"id": id, "host": task.server.address.ip(), "ports": [task.server.address.port()],
                "state": task.state, "slaveId": agent_id(task.agent),
                "startedAt": "2016-01-01T00:00:00Z"})
        });
        tasks.collect()
    }

    fn srv_ports(&self) -> BTreeSet<u16> {
        use hickory_proto::rr::{RData, RecordType};
        let name = "_web._tcp.marathon.mesos.";
        let answer = query(self.signpost.dns(), name, RecordType::SRV);
        let records = answer.answers.iter();
        let ports = records.filter_map(|record| match &record.data {
            RData::SRV(srv) => Some(srv.port),
            _ => None,
        });
        ports.collect()
    }

    fn api_ports(&self) -> BTreeSet<u16> {
        let address = self.signpost.listens("mesos-dns api listens")[0];
        let url = format!("http://{address}/v1/services/_web._tcp.marathon.mesos.");
        let services = request("GET", &url, "").1;
        let services = services.as_array().unwrap().iter();
        let ports = services.filter_map(|one| one["port"].as_str()?.parse().ok());
        ports.collect()
    }
}

/// Asks for something at a host; returns who answers, or what was wrong.
pub(super) fn get(proxy: SocketAddr, host: &str) -> String {
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let answer = exchange(proxy, request.as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.starts_with("HTTP/1.1 200 ") {
        true => body.to_owned(),
        false => format!("failed: {head}"),
    }
}

fn agent_id(agent: u8) -> String {
    format!("agent-S{agent}")
}

/// Writes a Marathon's znode as Curator does; returns its path.
async fn lead(client: &Client, marathon: &Marathon) -> String {
    let options = CreateMode::PersistentSequential.with_acls(Acls::anyone_all());
    let path = format!("/marathon/leader-curator/_c_{:x}-latch-", fastrand::u64(..));
    let address = marathon.address().to_string();
    let (_, sequence) = client
        .create(&path, address.as_bytes(), &options)
        .await
        .unwrap();
    format!("{path}{sequence}")
}
