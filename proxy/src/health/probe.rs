//! One health check of one instance.

use std::{net::SocketAddr, time::Duration};

use memchr::memmem;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::{
    config::{Check, CheckKind},
    http::{
        Body, Buffer, Malformed, Scan, Version,
        head::scan,
        request::slots,
        response::{Asked, Response},
    },
    upstream::is_local,
};

/// The largest head that an answer to a check may have.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// How much of a body is searched for what is expected there.
const BODY_BYTES_MAX: usize = 64 << 10;

/// Says in words why a check wasn't passed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// The instance isn't well.
    #[error("{0}")]
    Unwell(String),
    /// This machine has no room for a connection, which says nothing of the instance.
    #[error("{0}")]
    Unasked(String),
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Unwell(reason)
    }
}

/// Asks an instance whether it is well; `service` is the `Host` where the check names none.
///
/// # Errors
///
/// Returns why it isn't, or why it can't be asked.
pub(super) async fn run(
    check: &Check,
    service: &str,
    targets: &[SocketAddr],
) -> Result<(), Failure> {
    let whole = check.timeout.get();
    match timeout(whole, attempt(check, service, targets)).await {
        Ok(result) => result,
        Err(_) => Err(format!("it took longer than {}", check.timeout).into()),
    }
}

async fn attempt(check: &Check, service: &str, targets: &[SocketAddr]) -> Result<(), Failure> {
    let mut stream = connect(targets, check.timeout.get()).await?;
    match check.kind {
        CheckKind::Http => {}
        CheckKind::Tcp | CheckKind::None => {
            // With an end at once, instead of a connection that lingers on either side.
            stream.set_zero_linger().ok();
            return Ok(());
        }
    }
    let request = request(check, service);
    let sent = stream.write_all(request.as_bytes()).await;
    sent.map_err(|error| format!("can't send a request: {error}"))?;
    let mut answer = Answer {
        stream,
        input: Buffer::new(HEAD_BYTES_MAX),
    };
    let (status, body) = answer.head().await?;
    if !check.expects(status) {
        return Err(format!("the status is {status}").into());
    }
    match &check.body {
        Some(wanted) if !answer.contains(body, wanted).await? => {
            Err(format!("the body does not contain `{wanted}`").into())
        }
        _ => Ok(()),
    }
}

/// Connects to the first target at which somebody is, as requests do: one that is silent leaves the others
/// their share of the time.
async fn connect(targets: &[SocketAddr], whole: Duration) -> Result<TcpStream, Failure> {
    let end = Instant::now() + whole;
    let mut last = Failure::Unwell("it has no address".to_owned());
    for (left, target) in (1..=targets.len() as u32).rev().zip(targets) {
        let share = end.saturating_duration_since(Instant::now()) / left;
        last = match timeout(share, TcpStream::connect(target)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => {
                let reason = format!("can't connect to {target}: {error}");
                match is_local(&error) {
                    true => Failure::Unasked(reason),
                    false => Failure::Unwell(reason),
                }
            }
            Err(_) => Failure::Unwell(format!("{target} takes no connection in time")),
        };
    }
    Err(last)
}

fn request(check: &Check, service: &str) -> String {
    let host = check.host.as_deref().unwrap_or(service);
    let (path, version) = (&check.path, env!("CARGO_PKG_VERSION"));
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: signpost/{version} (health check)\r\n\
         Accept: */*\r\nConnection: close\r\n\r\n"
    )
}

/// What comes back from an instance.
struct Answer {
    stream: TcpStream,
    input: Buffer,
}

impl Answer {
    /// Reads the head of the response, and skips those that only say that it will come.
    async fn head(&mut self) -> Result<(u16, Body), String> {
        let mut scanned = 0;
        loop {
            let malformed = |reason: Malformed| format!("the answer is not HTTP: {reason}");
            match scan(self.input.filled(), scanned).map_err(malformed)? {
                Scan::Partial { scanned: so_far } => {
                    scanned = so_far;
                    if self.input.spare().is_empty() {
                        return Err(format!("the head has more than {HEAD_BYTES_MAX} bytes"));
                    }
                    if self.read().await? == 0 {
                        return Err("the connection was closed without an answer".to_owned());
                    }
                }
                Scan::Complete(bytes) => {
                    let mut slots = slots();
                    let head = &self.input.filled()[..bytes];
                    let response = Response::parse(head, &mut slots).map_err(malformed)?;
                    let is_interim = response.is_interim();
                    // As for a client that knows no chunks: what is searched is the content.
                    let asked = Asked {
                        head: false,
                        version: Version::Http10,
                    };
                    let (status, body) = (response.status, response.body(asked));
                    if status == 101 {
                        return Err("the status is 101".to_owned());
                    }
                    drop(response);
                    self.input.consume(bytes);
                    scanned = 0;
                    if !is_interim {
                        return Ok((status, body));
                    }
                }
            }
        }
    }

    /// Reads the body as far as it is looked at, and searches it.
    async fn contains(&mut self, mut body: Body, wanted: &str) -> Result<bool, String> {
        let mut content = Vec::new();
        let finder = memmem::Finder::new(wanted);
        loop {
            let searched = content.len().saturating_sub(wanted.len());
            let moved = body.transfer(&mut self.input, &mut content);
            moved.map_err(|reason| format!("the body is malformed: {reason}"))?;
            if finder.find(&content[searched..]).is_some() {
                return Ok(true);
            }
            if body.is_done() || content.len() >= BODY_BYTES_MAX {
                return Ok(false);
            }
            if self.read().await? == 0 {
                return match body.ends_by_close() {
                    true => Ok(false),
                    false => Err("the connection was closed within the body".to_owned()),
                };
            }
        }
    }

    async fn read(&mut self) -> Result<usize, String> {
        let read = self.stream.read(self.input.spare()).await;
        let bytes = read.map_err(|error| format!("can't read the answer: {error}"))?;
        self.input.advance(bytes);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
