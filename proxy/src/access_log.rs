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
    http::{forwarded::append_address, marks::RequestId, request::Request},
};

/// The most pieces that wait to be written; a worker's further lines are dropped and counted.
const PIECES_MAX: usize = 64;

/// How long the end waits for lines to be written: a full pipe may never take them.
const WRITER_GRACE: Duration = Duration::from_secs(1);

/// The size at which a worker hands over its lines, in bytes.
///
/// Each costs a switch to the thread that writes, so there are few.
pub(crate) const PIECE_BYTES: usize = 64 << 10;

/// More than most lines have, in bytes.
const LINE_BYTES: usize = 2 << 10;

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

/// Writes the lines of one worker.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    /// The second that was written last, since 1970, and how it is written.
    second: (u64, String),
}

/// Appends what a line says of the request.
pub(crate) fn begin(request: &Request<'_, '_>, id: Option<&RequestId<'_>>, line: &mut Vec<u8>) {
    line.extend_from_slice(b",\"http.request.method\":\"");
    line.extend_from_slice(request.method.as_bytes());
    line.extend_from_slice(b"\",\"url.domain\":\"");
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

impl Lines {
    /// Returns how many bytes wait to be handed over.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes all whole lines.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Appends a whole line; `request` is what [`begin`] has made, if it got that far.
    ///
    /// Formatting would take most of the time of a line, so numbers and addresses are written without.
    pub(crate) fn append(
        &mut self,
        now: SystemTime,
        client: SocketAddr,
        request: &[u8],
        outcome: &Outcome<'_>,
    ) {
        // In one step, as it was handed over with the lines before.
        self.bytes.reserve(match self.bytes.capacity() {
            0 => PIECE_BYTES + LINE_BYTES,
            _ => 0,
        });
        self.append_time(now);
        let out = &mut self.bytes;
        text(out, "\",\"client.ip\":\"");
        append_address(client.ip(), out);
        text(out, "\",\"client.port\":");
        number(out, client.port().into());
        out.extend_from_slice(request);
        text(out, ",\"http.response.status_code\":");
        number(out, outcome.status.into());
        text(out, ",\"http.response.body.bytes\":");
        number(out, outcome.bytes);
        text(out, ",\"event.duration\":");
        number(
            out,
            u64::try_from(outcome.duration.as_nanos()).unwrap_or(u64::MAX),
        );
        text(out, ",\"signpost.attempts\":");
        number(out, outcome.attempts as u64);
        text(out, ",\"signpost.version\":");
        number(out, outcome.version);
        if let Some(route) = outcome.route {
            text(out, ",\"signpost.route\":\"");
            escape(route, out);
            text(out, "\"");
        }
        // Names of services and instances have nothing to escape.
        if let Some(service) = outcome.service {
            text(out, ",\"service.name\":\"");
            text(out, service);
            text(out, "\"");
        }
        if let Some((instance, address)) = outcome.instance {
            text(out, ",\"signpost.instance\":\"");
            text(out, instance);
            text(out, "\",\"server.address\":\"");
            append_address(address.ip(), out);
            text(out, "\",\"server.port\":");
            number(out, address.port().into());
        }
        if let Some(error) = outcome.error {
            text(out, ",\"error.code\":\"");
            text(out, error.code());
            text(out, "\"");
        }
        text(out, "}\n");
    }

    /// Appends the begin of a line with the time, in microseconds.
    fn append_time(&mut self, now: SystemTime) {
        let since = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let (known, written) = &mut self.second;
        if *known != since.as_secs() || written.is_empty() {
            let second = SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs());
            let formatted = humantime::format_rfc3339_seconds(second).to_string();
            // All but the Z.
            *written = formatted.trim_end_matches('Z').to_owned();
            *known = since.as_secs();
        }
        text(&mut self.bytes, "{\"@timestamp\":\"");
        text(&mut self.bytes, written);
        let mut digits = *b".000000Z";
        let mut left = since.subsec_micros();
        for digit in digits[1..7].iter_mut().rev() {
            *digit += (left % 10) as u8;
            left /= 10;
        }
        self.bytes.extend_from_slice(&digits);
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn number(out: &mut Vec<u8>, number: u64) {
    text(out, itoa::Buffer::new().format(number));
}

/// Appends text in the form it has between the quotes of JSON.
fn escape(text: &str, out: &mut Vec<u8>) {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    if text.as_bytes().iter().all(is_plain) {
        return out.extend_from_slice(text.as_bytes());
    }
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend_from_slice(&[b'\\', character as u8]),
            ' '..='~' => out.push(character as u8),
            _ => {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    write!(out, "\\u{unit:04x}").expect("a vector takes all bytes");
                }
            }
        }
    }
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
        let (mut part, mut lines) = (Vec::new(), Lines::default());
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
        let now = SystemTime::UNIX_EPOCH + Duration::from_micros(1_000_042);
        lines.append(now, client, &part, &outcome);
        let line = lines.take();
        assert!(line.ends_with(b"\n"));
        let document: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(document["@timestamp"], "1970-01-01T00:00:01.000042Z");
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
