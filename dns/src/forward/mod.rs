//! Has others asked about names that are nobody's here, and passes on what they say.
//!
//! Whoever takes queries hands such a one over and goes on: the answer finds its own way to the client
//! ([`Reply`]). Nothing is kept: a resolver that is near has a cache of its own.

mod answer;
mod reply;

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use futures_util::StreamExt as _;
use hickory_proto::{
    op::{DnsRequest, DnsRequestOptions, DnsResponse, Edns, Message},
    rr::Name,
};
use hickory_resolver::{
    NameServerPool, PoolContext, TlsConfig,
    config::{ConnectionConfig, NameServerConfig, ResolverOpts},
    net::{DnsError, DnsHandle as _, NetError, runtime::TokioRuntimeProvider},
};
use tokio::{runtime::Handle, sync::Semaphore, time::timeout};

use self::answer::End;
pub(crate) use self::reply::Reply;
use crate::{
    Transport,
    config::{ForwardConfig, Upstream},
};

/// A query that is to be forwarded.
pub(crate) struct Asked<'a> {
    pub(crate) message: &'a [u8],
    pub(crate) transport: Transport,
    /// The longest answer over UDP in bytes, whatever the client could take.
    pub(crate) payload_max: u16,
    /// The OPT record of the answer; none for a client without EDNS.
    pub(crate) opt: Vec<u8>,
}

/// Asks resolvers.
pub struct Forwarder {
    upstreams: ArcSwap<Upstreams>,
    runtime: Handle,
}

/// Asks one resolver, over UDP and, when the answer doesn't fit, over TCP.
///
/// It passes on what it hears: who follows aliases is the resolver.
type Resolver = NameServerPool<TokioRuntimeProvider>;

/// Resolvers that are asked one after the other, until one answers; each has its time.
type Resolvers = Vec<Resolver>;

/// Who is asked, by a configuration.
struct Upstreams {
    config: ForwardConfig,
    /// Those of domains, the longest first.
    zones: Vec<(Name, Resolvers)>,
    others: Resolvers,
    /// One for each query that may be under way.
    permits: Arc<Semaphore>,
}

impl fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarder").finish_non_exhaustive()
    }
}

impl Forwarder {
    /// Creates one that asks on the tokio runtime on which this is called.
    pub fn new(config: &ForwardConfig) -> Arc<Self> {
        Arc::new(Self {
            upstreams: ArcSwap::from_pointee(Upstreams::new(config)),
            runtime: Handle::current(),
        })
    }

    /// Goes on by another configuration; queries under way end by the old one.
    pub fn configure(&self, config: &ForwardConfig) {
        if self.upstreams.load().config != *config {
            self.upstreams.store(Arc::new(Upstreams::new(config)));
        }
    }

    /// Takes a query, and answers it by and by: with what a resolver says, or that all have failed.
    pub(crate) fn forward(&self, asked: Asked<'_>, reply: Reply) {
        let Ok(query) = Message::from_vec(asked.message) else {
            // It was understood before, as far as that was needed: an option of it is malformed.
            reply.send(&answer::malformed(asked.message));
            return;
        };
        let end = End {
            limit: match asked.transport {
                Transport::Tcp => u16::MAX,
                Transport::Udp => query.max_payload().min(asked.payload_max),
            },
            opt: asked.opt,
        };
        let upstreams = self.upstreams.load_full();
        let Ok(permit) = Arc::clone(&upstreams.permits).try_acquire_owned() else {
            reply.send(&answer::failed(&query, &end));
            return;
        };
        self.runtime.spawn(async move {
            let bytes = upstreams.answer(&query, &end).await;
            drop(permit);
            reply.send(&bytes);
        });
    }
}

impl Upstreams {
    fn new(config: &ForwardConfig) -> Self {
        let zones = config.zones.iter().filter_map(|(domain, list)| {
            let name = Name::from_ascii(domain.to_string()).ok()?;
            Some((name, resolvers(config, list)))
        });
        let mut zones: Vec<_> = zones.collect();
        zones.sort_by_key(|(name, _)| std::cmp::Reverse(name.num_labels()));
        Self {
            zones,
            others: resolvers(config, &config.resolvers),
            permits: Arc::new(Semaphore::new(config.queries_max)),
            config: config.clone(),
        }
    }

    async fn answer(&self, query: &Message, end: &End) -> Vec<u8> {
        let Some(question) = query.queries.first() else {
            return answer::failed(query, end);
        };
        let mut zones = self.zones.iter();
        let zone = zones.find(|(name, _)| name.zone_of(question.name()));
        let resolvers = zone.map_or(&self.others, |(_, resolvers)| resolvers);
        let mut last = None;
        for resolver in resolvers {
            // A second try over TCP counts as well.
            let found = timeout(self.config.timeout.get(), ask(resolver, query)).await;
            match found.unwrap_or(Err(NetError::Timeout)) {
                // That there is nothing is an answer.
                found @ (Ok(_) | Err(NetError::Dns(DnsError::NoRecordsFound(_)))) => {
                    return answer::of(query, found, end);
                }
                Err(error) => last = Some(error),
            }
        }
        match last {
            Some(error) => answer::of(query, Err(error), end),
            None => answer::refused(query, end),
        }
    }
}

/// Asks a resolver what a client asks, with what says how to answer (RD, CD, DO).
async fn ask(resolver: &Resolver, query: &Message) -> Result<DnsResponse, NetError> {
    // With an id that nobody guesses.
    let mut onward = Message::query();
    onward.metadata.recursion_desired = true;
    onward.metadata.checking_disabled = query.metadata.checking_disabled;
    onward.add_queries(query.queries.iter().cloned());
    let mut edns = Edns::new();
    edns.set_max_payload(answer::PAYLOAD);
    let wants_signatures = query
        .edns
        .as_ref()
        .is_some_and(|edns| edns.flags().dnssec_ok);
    edns.set_dnssec_ok(wants_signatures);
    onward.set_edns(edns);
    let mut answers = resolver.send(DnsRequest::new(onward, DnsRequestOptions::default()));
    answers.next().await.unwrap_or(Err(NetError::Timeout))
}

/// Makes what asks these resolvers.
fn resolvers(config: &ForwardConfig, list: &[Upstream]) -> Resolvers {
    let mut options = ResolverOpts::default();
    options.timeout = config.timeout.get();
    options.num_concurrent_reqs = 1;
    let all = list.iter().filter_map(|Upstream(address)| {
        let at = |mut connection: ConnectionConfig| {
            connection.port = address.port();
            connection
        };
        let connections = vec![at(ConnectionConfig::udp()), at(ConnectionConfig::tcp())];
        let server = NameServerConfig::new(address.ip(), true, connections);
        let context = PoolContext::new(options.clone(), TlsConfig::new().ok()?);
        let runtime = TokioRuntimeProvider::default();
        Some(Resolver::from_config([server], Arc::new(context), runtime))
    });
    all.collect()
}

#[cfg(test)]
mod tests;
