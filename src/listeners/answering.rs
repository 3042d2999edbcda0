//! DNS on one worker.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use dns::Zones;
use proxy::Phase;
use tokio::sync::{oneshot, watch};

use super::kept::Kept;
use crate::bind::{self, Pair};

/// How soon sockets that have failed are replaced.
const BIND_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Answers queries on one worker at one address.
pub(super) struct Answering {
    pub(super) address: SocketAddr,
    pub(super) kept: Kept,
    pub(super) zones: Arc<ArcSwap<Zones>>,
    pub(super) metrics: Arc<dns::Metrics>,
    pub(super) config: dns::Config,
    /// `Drain` when another process goes on with the sockets; gone when the address is taken out of
    /// the configuration.
    pub(super) phase: watch::Receiver<Phase>,
}

impl Answering {
    /// Answers until it is over; sockets that fail are replaced.
    pub(super) async fn run(mut self, pair: Pair) {
        let mut pair = Ok(pair);
        loop {
            let error = match pair {
                Ok((udp, tcp)) => match self.serve(udp, tcp).await {
                    Ok(()) => return,
                    Err(error) => error,
                },
                Err(error) => error,
            };
            // Nobody else must have them either: queries would wait in them.
            self.kept.drop_all();
            let address = self.address;
            tracing::error!(%address, %error, "a worker can't answer queries, binding again");
            tokio::select! {
                () = tokio::time::sleep(BIND_AGAIN_AFTER) => {}
                _ = self.phase.wait_for(|phase| *phase == Phase::Drain) => return,
            }
            pair = bind::pair(address);
            if let Ok(pair) = &pair {
                // Without it a new process binds sockets of its own.
                self.kept.keep_pair(pair).ok();
            }
        }
    }

    /// Answers until it is over, or one of the sockets is of no more use.
    async fn serve(&mut self, udp: UdpSocket, tcp: TcpListener) -> io::Result<()> {
        let (zones, metrics) = (&self.zones, &self.metrics);
        let mut udp = dns::UdpServer::start(udp, Arc::clone(zones), metrics.counters())?;
        let (stop, stopped) = oneshot::channel();
        let over = async move {
            // Gone is as good as sent: nobody polls it then.
            stopped.await.ok();
        };
        let (zones, counters) = (Arc::clone(zones), metrics.counters());
        let mut tcp = pin!(dns::serve_tcp(tcp, zones, counters, &self.config, over));
        tokio::select! {
            error = udp.failed() => return Err(error),
            Err(error) = &mut tcp => return Err(error),
            handed_over = self.phase.wait_for(|phase| *phase == Phase::Drain) => {
                if handed_over.is_err() {
                    return Ok(());
                }
            }
        }
        // What is sent here is received above.
        stop.send(()).ok();
        let ((), done) = tokio::join!(udp.release(), tcp);
        done
    }
}
