//! What must work for an instance to be registered.

use std::{process::Stdio, str::FromStr, time::Duration};

use tokio::{net::TcpStream, process::Command};

use crate::http_client;

/// One thing to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Check {
    /// Something accepts connections at `host:port`.
    Tcp(String),
    /// A GET is answered with 200 to 399.
    Http(String),
    /// A shell command ends with 0.
    Command(String),
}

impl FromStr for Check {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(address) = text.strip_prefix("tcp://") {
            let port = address.rsplit_once(':').map(|(_, port)| port);
            return match port.map(str::parse::<u16>) {
                Some(Ok(1..)) => Ok(Self::Tcp(address.to_owned())),
                _ => Err(format!("`{text}` is not tcp://HOST:PORT")),
            };
        }
        if text.starts_with("http://") {
            return http_client::parse(text).map(|_| Self::Http(text.to_owned()));
        }
        match text.strip_prefix("command:") {
            Some(command) if !command.trim().is_empty() => Ok(Self::Command(command.to_owned())),
            _ => Err(format!(
                "`{text}` is none of tcp://HOST:PORT, http://HOST:PORT/PATH and command:COMMAND"
            )),
        }
    }
}

impl Check {
    /// Tries once.
    ///
    /// # Errors
    ///
    /// Returns in words why the check failed.
    pub(super) async fn run(&self, timeout: Duration) -> Result<(), String> {
        match tokio::time::timeout(timeout, self.attempt(timeout)).await {
            Ok(result) => result,
            Err(_) => Err(format!("took longer than {timeout:?}")),
        }
    }

    async fn attempt(&self, timeout: Duration) -> Result<(), String> {
        match self {
            Self::Tcp(address) => match TcpStream::connect(address).await {
                Ok(_) => Ok(()),
                Err(error) => Err(format!("{address}: {error}")),
            },
            Self::Http(url) => match http_client::fetch(url, timeout).await?.status {
                status if status.is_success() || status.is_redirection() => Ok(()),
                status => Err(format!("{url}: the answer was {status}")),
            },
            Self::Command(command) => {
                let status = Command::new("sh")
                    .args(["-c", command])
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .kill_on_drop(true)
                    .status()
                    .await
                    .map_err(|error| format!("can't run sh: {error}"))?;
                match status.success() {
                    true => Ok(()),
                    false => Err(format!("`{command}` ended with {status}")),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    #[test]
    fn a_check_says_what_kind_it_is() {
        for good in ["tcp://127.0.0.1:80", "http://h/x", "command:test -e x"] {
            assert!(good.parse::<Check>().is_ok(), "{good}");
        }
        for bad in ["tcp://h", "tcp://h:0", "https://h", "command: ", "h:80"] {
            assert!(bad.parse::<Check>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_tcp_check_passes_while_somebody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let check: Check = format!("tcp://{address}").parse().unwrap();
        assert_eq!(check.run(TIMEOUT).await, Ok(()));
        drop(listener);
        assert!(check.run(TIMEOUT).await.unwrap_err().contains("refused"));
    }

    /// Runs an HTTP check against a server that answers once; returns the request line and the result.
    async fn http_check(rest: &str, status: &str) -> (String, Result<(), String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}{rest}", listener.local_addr().unwrap());
        let check: Check = url.parse().unwrap();
        let answer = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 1024];
            let count = stream.read(&mut request).await.unwrap();
            let text = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(text.as_bytes()).await.unwrap();
            let request = String::from_utf8_lossy(&request[..count]).into_owned();
            request.lines().next().unwrap().to_owned()
        };
        tokio::select! {
            (result, line) = async { tokio::join!(check.run(TIMEOUT), answer) } => (line, result),
            () = tokio::time::sleep(TIMEOUT) => panic!("{url}: no request came"),
        }
    }

    #[tokio::test]
    async fn an_http_check_reads_the_status() {
        for (status, passes) in [("200 OK", true), ("302 Found", true), ("503 No", false)] {
            let (_, result) = http_check("/health", status).await;
            assert_eq!(result.is_ok(), passes, "{result:?}");
        }
    }

    #[tokio::test]
    async fn an_http_check_asks_for_the_path_and_query_as_they_are() {
        for (rest, target) in [
            ("", "/"),
            ("/", "/"),
            ("?a=b", "/?a=b"),
            ("/?a=b", "/?a=b"),
            ("/health", "/health"),
            ("/health/", "/health/"),
            ("/health/?a=b/#c", "/health/?a=b/"),
        ] {
            let (line, result) = http_check(rest, "200 OK").await;
            assert_eq!(line, format!("GET {target} HTTP/1.1"), "{rest}");
            assert_eq!(result, Ok(()), "{rest}");
        }
    }

    #[tokio::test]
    async fn a_command_check_has_its_time() {
        let run = async |text: &str, timeout| text.parse::<Check>().unwrap().run(timeout).await;
        assert_eq!(run("command:test 1 = 1", TIMEOUT).await, Ok(()));
        assert!(
            run("command:exit 3", TIMEOUT)
                .await
                .unwrap_err()
                .contains("3")
        );
        let late = run("command:exec tail -f /dev/null", Duration::from_millis(20)).await;
        assert!(late.unwrap_err().starts_with("took longer"));
    }
}
