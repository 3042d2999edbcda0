//! The access log: JSON lines with ECS field names, written by a thread of their own.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use crate::{
    config,
    error::Error,
    http::{marks::RequestId, request::Request},
};

/// The most pieces that wait to be written; a worker's further lines are dropped and counted.
const PIECES_MAX: usize = 256;

/// How long the end waits for lines to be written: a full pipe may never take them.
const WRITER_GRACE: Duration = Duration::from_secs(1);

/// The size at which a worker hands over its lines, in bytes.
pub(crate) const PIECE_BYTES: usize = 16 << 10;

/// Takes lines from the workers to a file or to standard output; never makes a worker wait.
#[derive(Debug)]
pub struct AccessLog {
    /// Present until the log is dropped.
    pieces: Option<SyncSender<Vec<u8>>>,
    next: Arc<Mutex<Option<Target>>>,
    writer: Option<JoinHandle<()>>,
    /// Is disconnected when the writer has ended.
    ended: Mutex<Receiver<()>>,
}

/// Names where lines go.
#[derive(Debug)]
enum Target {
    Stdout,
    File(File),
}

impl AccessLog {
    /// Opens the file, if one is named, and starts the writer.
    ///
    /// # Errors
    ///
    /// Returns an error when the file can't be opened or the thread can't be started.
    pub fn open(config: &config::AccessLog) -> io::Result<Self> {
        let mut target = Target::open(config.path.as_deref())?;
        let (sender, pieces): (_, Receiver<Vec<u8>>) = sync_channel(PIECES_MAX);
        let next = Arc::<Mutex<Option<Target>>>::default();
        let asked = Arc::clone(&next);
        let (ends, ended) = sync_channel(0);
        let write = move || {
            // Dropped at the end, also that of a panic.
            let _ends: SyncSender<()> = ends;
            let mut failing = false;
            for piece in pieces {
                let next = asked.lock().unwrap_or_else(PoisonError::into_inner).take();
                target = next.unwrap_or(target);
                let written = target.write(&piece);
                if let (Err(error), false) = (&written, failing) {
                    tracing::warn!(%error, "the access log can't be written");
                }
                failing = written.is_err();
            }
        };
        let writer = thread::Builder::new()
            .name("access-log".into())
            .spawn(write)?;
        Ok(Self {
            pieces: Some(sender),
            next,
            writer: Some(writer),
            ended: Mutex::new(ended),
        })
    }

    /// Opens the file again, after it was moved away or another one was configured.
    ///
    /// # Errors
    ///
    /// Returns an error when it can't be opened; lines go on to where they went before.
    pub fn reopen(&self, config: &config::AccessLog) -> io::Result<()> {
        let target = Target::open(config.path.as_deref())?;
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(target);
        Ok(())
    }

    /// Hands over some lines; returns whether there was room.
    pub(crate) fn send(&self, piece: Vec<u8>) -> bool {
        let pieces = self.pieces.as_ref();
        pieces.is_some_and(|pieces| pieces.try_send(piece).is_ok())
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        // Without a sender the writer ends after what it has.
        self.pieces = None;
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(WRITER_GRACE) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the access log takes no lines, and the last ones are lost");
            return;
        }
        if let Some(Err(_)) = self.writer.take().map(JoinHandle::join) {
            tracing::warn!("the access log's writer has panicked");
        }
    }
}

impl Target {
    fn open(path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path else {
            return Ok(Self::Stdout);
        };
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self::File(file))
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(piece)?;
                stdout.flush()
            }
            Self::File(file) => file.write_all(piece),
        }
    }
}

/// Holds what a line says of the response.
#[derive(Debug)]
pub(crate) struct Outcome<'a> {
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    pub(crate) duration: Duration,
    pub(crate) attempts: usize,
    pub(crate) version: u64,
    pub(crate) route: Option<&'a str>,
    pub(crate) service: Option<&'a str>,
    pub(crate) instance: Option<(&'a str, SocketAddr)>,
    /// Why the client didn't get all of what an instance would have sent.
    pub(crate) error: Option<Error>,
}

/// Appends what a line says of the request.
pub(crate) fn begin(request: &Request<'_, '_>, id: Option<&RequestId<'_>>, line: &mut Vec<u8>) {
    append(
        line,
        format_args!(",\"http.request.method\":\"{}\"", request.method),
    );
    line.extend_from_slice(b",\"url.domain\":\"");
    escape(request.host, line);
    line.extend_from_slice(b"\",\"url.path\":\"");
    escape(request.target.path(), line);
    if let Some(query) = request.target.query() {
        line.extend_from_slice(b"\",\"url.query\":\"");
        escape(query, line);
    }
    line.push(b'"');
    if let Some(id) = id {
        line.extend_from_slice(b",\"http.request.id\":\"");
        escape(id.as_str(), line);
        line.push(b'"');
    }
}

/// Appends a whole line to `out`; `request` is what [`begin`] has made, if it got that far.
pub(crate) fn append_line(
    now: SystemTime,
    client: SocketAddr,
    request: &[u8],
    outcome: &Outcome<'_>,
    out: &mut Vec<u8>,
) {
    let time = humantime::format_rfc3339_micros(now);
    let (ip, port) = (client.ip(), client.port());
    append(
        out,
        format_args!("{{\"@timestamp\":\"{time}\",\"client.ip\":\"{ip}\",\"client.port\":{port}"),
    );
    out.extend_from_slice(request);
    append(
        out,
        format_args!(
            ",\"http.response.status_code\":{},\"http.response.body.bytes\":{},\
             \"event.duration\":{},\"signpost.attempts\":{},\"signpost.version\":{}",
            outcome.status,
            outcome.bytes,
            outcome.duration.as_nanos(),
            outcome.attempts,
            outcome.version,
        ),
    );
    if let Some(route) = outcome.route {
        out.extend_from_slice(b",\"signpost.route\":\"");
        escape(route, out);
        out.push(b'"');
    }
    // Names of services and instances have nothing to escape.
    if let Some(service) = outcome.service {
        append(out, format_args!(",\"service.name\":\"{service}\""));
    }
    if let Some((instance, address)) = outcome.instance {
        append(
            out,
            format_args!(
                ",\"signpost.instance\":\"{instance}\",\"server.address\":\"{}\",\
                 \"server.port\":{}",
                address.ip(),
                address.port(),
            ),
        );
    }
    if let Some(error) = outcome.error {
        append(out, format_args!(",\"error.code\":\"{}\"", error.code()));
    }
    out.extend_from_slice(b"}\n");
}

/// Appends text in the form it has between the quotes of JSON.
fn escape(text: &str, out: &mut Vec<u8>) {
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend_from_slice(&[b'\\', character as u8]),
            ' '..='~' => out.push(character as u8),
            _ => {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    append(out, format_args!("\\u{unit:04x}"));
                }
            }
        }
    }
}

fn append(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a vector takes all bytes");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::slots;

    #[test]
    fn a_line_is_json_whatever_was_asked() {
        let head = b"GET /a\"b\\?q=\"1 HTTP/1.1\r\nHost: Web:80\r\n\r\n";
        let mut slots = slots();
        let request = Request::parse(head, &mut slots).unwrap();
        let (mut part, mut line) = (Vec::new(), Vec::new());
        begin(&request, Some(&RequestId::Kept("a\"b")), &mut part);
        let address = "127.0.0.1:9001".parse().unwrap();
        let outcome = Outcome {
            status: 502,
            bytes: 17,
            duration: Duration::from_micros(3),
            attempts: 2,
            version: 9,
            route: Some("a \"b\""),
            service: Some("web"),
            instance: Some(("a", address)),
            error: Some(Error::UpstreamReset),
        };
        let client = "192.0.2.1:5".parse().unwrap();
        append_line(SystemTime::UNIX_EPOCH, client, &part, &outcome, &mut line);
        assert!(line.ends_with(b"\n"));
        let document: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(document["@timestamp"], "1970-01-01T00:00:00.000000Z");
        assert_eq!(document["url.path"], "/a\"b\\");
        assert_eq!(document["url.query"], "q=\"1");
        assert_eq!(document["url.domain"], "Web");
        assert_eq!(document["http.request.id"], "a\"b");
        assert_eq!(document["event.duration"], 3_000);
        assert_eq!(document["server.port"], 9001);
        assert_eq!(document["signpost.route"], "a \"b\"");
        assert_eq!(document["error.code"], "upstream_reset");
    }

    #[test]
    fn what_was_sent_is_written_before_the_log_is_gone_and_reopening_makes_a_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let config = config::AccessLog {
            enabled: true,
            path: Some(folder.path().join("access.log")),
        };
        let path = config.path.as_ref().unwrap();
        let moved = folder.path().join("access.log.1");
        let log = AccessLog::open(&config).unwrap();
        std::fs::rename(path, &moved).unwrap();
        log.reopen(&config).unwrap();
        assert!(log.send(b"two\n".to_vec()));
        drop(log);
        assert_eq!(std::fs::read(path).unwrap(), b"two\n");
        assert_eq!(std::fs::read(moved).unwrap(), b"");
    }

    #[test]
    fn a_log_that_nobody_reads_does_not_hold_up_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        // Without a reader at all it couldn't be opened.
        let reader = OpenOptions::new().read(true).write(true).open(&path);
        let log = AccessLog::open(&config::AccessLog {
            enabled: true,
            path: Some(path),
        })
        .unwrap();
        // More than a pipe holds.
        assert!(log.send(vec![b'x'; 4 << 20]));
        let (dropped, is_dropped) = sync_channel(1);
        thread::spawn(move || {
            drop(log);
            dropped.send(()).unwrap();
        });
        assert_eq!(is_dropped.recv_timeout(Duration::from_secs(10)), Ok(()));
        drop(reader);
    }
}
