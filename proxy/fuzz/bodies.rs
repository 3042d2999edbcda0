//! What the fuzz targets do with their input; the tests do the same with the corpora.

use proxy::testing::{
    End, Message, forward_chunks, forward_requests, forward_response, read_proxy_header,
    read_requests,
};

/// A head after which a body in chunks can be read.
const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Passes any bytes on as a client's requests, and reads what a server would get.
///
/// # Panics
///
/// Panics where the server gets anything but the requests that were read, or what it could refuse.
pub(crate) fn request(data: &[u8]) {
    let (forwarded, end) = forward_requests(data);
    let (received, received_end) = read_requests(&forwarded);
    let (sent, _) = read_requests(data);
    match end {
        End::Whole => assert_eq!(received_end, End::Whole),
        End::Cut | End::Refused(_) => assert!(matches!(received_end, End::Whole | End::Cut)),
    }
    assert!(received.len() <= sent.len(), "{received:?}");
    for (received, sent) in received.iter().zip(&sent) {
        assert_eq!(
            (&received.method, &received.body),
            (&sent.method, &sent.body)
        );
        assert_eq!(count(received, "host"), 1, "{received:?}");
        let framing = count(received, "content-length") + count(received, "transfer-encoding");
        assert!(framing <= 1, "{received:?}");
        assert_eq!(count(received, "x-forwarded-for"), 1, "{received:?}");
        assert_eq!(count(received, "x-request-id"), 1, "{received:?}");
    }
    if end == End::Whole {
        assert_eq!(received.len(), sent.len());
        // Another proxy behind us passes on the same.
        let (again, end) = forward_requests(&forwarded);
        assert_eq!(end, End::Whole);
        assert_eq!(read_requests(&again).0.len(), received.len());
    }
}

fn count(message: &Message, name: &str) -> usize {
    let lines = message.headers.iter();
    lines.filter(|(one, _)| one == name).count()
}

/// Passes any bytes on as a body in chunks, whole and cut in two at the place that the first byte
/// says.
///
/// # Panics
///
/// Panics where the pieces are read in another way than the whole, or what goes out in another way
/// than what came in.
pub(crate) fn chunked(data: &[u8]) {
    let Some((cut, body)) = data.split_first() else {
        return;
    };
    let (one, two) = body.split_at(usize::from(*cut).min(body.len()));
    let (whole, pieces) = (forward_chunks(&[body]), forward_chunks(&[one, two]));
    let ends =
        |read: &Option<(Vec<u8>, bool, usize)>| read.as_ref().map(|(_, done, used)| (*done, *used));
    assert_eq!(ends(&whole), ends(&pieces));
    let (Some((whole, true, used)), Some((pieces, ..))) = (whole, pieces) else {
        return;
    };
    let read = |chunks: &[u8]| {
        let (mut messages, end) = read_requests(&[HEAD, chunks].concat());
        assert_eq!((messages.len(), end), (1, End::Whole), "{chunks:?}");
        messages.remove(0)
    };
    let (sent, whole, pieces) = (read(&body[..used]), read(&whole), read(&pieces));
    assert_eq!(whole, pieces);
    assert_eq!(whole.body, sent.body);
    assert!(
        whole
            .trailers
            .iter()
            .all(|line| sent.trailers.contains(line))
    );
}

/// Passes any bytes on as the head of a response; the first says to what client.
///
/// # Panics
///
/// Panics where a client would read something else in what it gets than we.
pub(crate) fn response(data: &[u8]) {
    let Some((how, head)) = data.split_first() else {
        return;
    };
    let (to_head, to_http10) = (how & 1 == 1, how & 2 == 2);
    if let Some(passed) = forward_response(head, to_head, to_http10) {
        let again = forward_response(&passed, to_head, to_http10);
        assert_eq!(again.as_deref(), Some(passed.as_slice()));
    }
}

/// Reads any bytes as a PROXY header.
///
/// # Panics
///
/// Panics where a part of a header is enough, or what follows it matters.
pub(crate) fn proxy_protocol(data: &[u8]) {
    let Ok(Some((length, addresses))) = read_proxy_header(data) else {
        return;
    };
    assert!(length <= data.len());
    assert_eq!(
        read_proxy_header(&data[..length]),
        Ok(Some((length, addresses)))
    );
    for cut in 0..length {
        assert_eq!(read_proxy_header(&data[..cut]), Ok(None));
    }
    if let Some((source, destination)) = addresses
        && source.is_ipv4() == destination.is_ipv4()
    {
        let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
        let line = format!(
            "PROXY {family} {} {} {} {}\r\n",
            source.ip(),
            destination.ip(),
            source.port(),
            destination.port()
        );
        let read = read_proxy_header(line.as_bytes());
        assert_eq!(read, Ok(Some((line.len(), addresses))));
    }
}
