//! Asking many questions at a time, over UDP and TCP.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use super::queries::Query;

/// How many queries are under way at a time; their answers have room in a socket's buffer.
const WINDOW: usize = 32;

/// How long answers may be under way.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often queries are sent again whose answers don't come.
const TRIES_MAX: usize = 3;

/// Asks a server everything; returns the answers in the order of the queries.
///
/// # Panics
///
/// Panics when a query isn't answered.
pub(super) fn all(server: SocketAddr, queries: &[Query]) -> Vec<Vec<u8>> {
    let mut answers = vec![None; queries.len()];
    for tcp in [false, true] {
        let places: Vec<_> = (0..queries.len())
            .filter(|at| queries[*at].tcp == tcp)
            .collect();
        for places in places.chunks(WINDOW) {
            match tcp {
                true => by_tcp(server, queries, places, &mut answers),
                false => by_udp(server, queries, places, &mut answers),
            }
        }
    }
    let found = answers.into_iter().zip(queries);
    let found =
        found.map(|(answer, query)| answer.unwrap_or_else(|| panic!("{server}: {query:?}")));
    found.collect()
}

/// Returns the query with its place in the window as its id.
fn numbered(query: &Query, id: usize) -> Vec<u8> {
    let mut bytes = query.bytes.clone();
    bytes[..2].copy_from_slice(&(id as u16).to_be_bytes());
    bytes
}

fn id(answer: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([answer[0], answer[1]]))
}

fn by_udp(
    server: SocketAddr,
    queries: &[Query],
    places: &[usize],
    answers: &mut [Option<Vec<u8>>],
) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = vec![0; 65_535];
    for _ in 0..TRIES_MAX {
        let mut missing = 0;
        for (id, place) in places.iter().enumerate() {
            if answers[*place].is_none() {
                socket.send(&numbered(&queries[*place], id)).unwrap();
                missing += 1;
            }
        }
        while missing > 0 {
            let Ok(length) = socket.recv(&mut buffer) else {
                break;
            };
            let place = places[id(&buffer)];
            // It may be the second answer to a query that was sent again.
            missing -= usize::from(answers[place].is_none());
            answers[place] = Some(buffer[..length].to_vec());
        }
    }
}

fn by_tcp(
    server: SocketAddr,
    queries: &[Query],
    places: &[usize],
    answers: &mut [Option<Vec<u8>>],
) {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut sent = Vec::new();
    for (id, place) in places.iter().enumerate() {
        let query = numbered(&queries[*place], id);
        sent.extend((query.len() as u16).to_be_bytes());
        sent.extend(query);
    }
    stream.write_all(&sent).unwrap();
    for _ in places {
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer).unwrap();
        let place = places[id(&answer)];
        answers[place] = Some(answer);
    }
}
