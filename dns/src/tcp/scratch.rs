//! The buffers that all connections of a thread read into and answer in.

use std::cell::RefCell;

use super::answerer::LENGTH_BYTES;

/// How many bytes are read by one call: several hundred queries.
const INPUT_BYTES: usize = 16 << 10;

/// How many bytes of answers are written before further queries are answered.
const ANSWERS_BYTES: usize = 64 << 10;

/// The longest answer with its length before it.
const ANSWER_BYTES_MAX: usize = LENGTH_BYTES + u16::MAX as usize;

thread_local! {
    /// Nobody waits while holding it, so a worker needs no more than one, and its connections none.
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::new());
}

/// Holds what is read and written in one turn of a connection.
pub(super) struct Scratch {
    /// For the bytes that have come.
    pub(super) input: Box<[u8]>,
    /// For the answers to them.
    pub(super) answers: Answers,
}

impl Scratch {
    fn new() -> Self {
        Self {
            input: vec![0; INPUT_BYTES].into(),
            answers: Answers {
                bytes: vec![0; ANSWERS_BYTES + ANSWER_BYTES_MAX].into(),
                len: 0,
                count: 0,
                random: fastrand::Rng::new(),
            },
        }
    }
}

/// Calls `turn` with the thread's buffers.
pub(super) fn with<R>(turn: impl FnOnce(&mut Scratch) -> R) -> R {
    SCRATCH.with_borrow_mut(turn)
}

/// Collects answers that leave by one call, each with its length before it.
pub(super) struct Answers {
    bytes: Box<[u8]>,
    len: usize,
    count: usize,
    /// Gives each answer the seed of its records' order.
    random: fastrand::Rng,
}

impl Answers {
    /// Forgets the answers of the turn before.
    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.count = 0;
    }

    /// Returns how many answers there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Returns the bytes of the answers.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Tells whether one answer more may be written, however long it is.
    pub(super) fn have_room(&self) -> bool {
        self.len < ANSWERS_BYTES
    }

    /// Appends an answer that was made elsewhere. There must be room.
    pub(super) fn append_made(&mut self, answer: &[u8]) {
        self.append(|_, room| {
            let room = room.get_mut(..answer.len())?;
            room.copy_from_slice(answer);
            Some(answer.len())
        });
    }

    /// Appends what `write` writes, given a seed and the room; it returns how long the answer is, or
    /// `None` where there is none.
    ///
    /// There must be room.
    pub(super) fn append(&mut self, write: impl FnOnce(u64, &mut [u8]) -> Option<usize>) {
        let room = &mut self.bytes[self.len..][..ANSWER_BYTES_MAX];
        let (length, room) = room.split_at_mut(LENGTH_BYTES);
        if let Some(bytes) = write(self.random.u64(..), room) {
            let bytes = u16::try_from(bytes).expect("no answer is longer than its room");
            length.copy_from_slice(&bytes.to_be_bytes());
            self.len += LENGTH_BYTES + usize::from(bytes);
            self.count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_answer_has_room_behind_as_much_as_there_may_be() {
        let mut answers = Scratch::new().answers;
        answers.append(|_, _| None);
        assert_eq!(answers.as_bytes(), b"");
        let nearly = ANSWERS_BYTES - LENGTH_BYTES - 1;
        answers.append(|_, _| Some(nearly / 2));
        answers.append(|_, _| Some(nearly - nearly / 2 - LENGTH_BYTES));
        assert_eq!(answers.as_bytes().len(), ANSWERS_BYTES - 1);
        assert!(answers.have_room());
        answers.append(|_, room| Some(room.len()));
        assert!(!answers.have_room());
        assert_eq!(answers.as_bytes()[ANSWERS_BYTES - 1..][..2], [0xff, 0xff]);
        answers.clear();
        assert!(answers.have_room() && answers.as_bytes().is_empty());
    }
}
