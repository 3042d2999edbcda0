//! Random draws by weight.

use super::{Member, effective_weights};

/// Turns random bits into places of members, each as likely as its weight says.
#[derive(Debug)]
pub(super) struct Draw {
    /// How many members there are.
    members: u64,
    /// The sums of the weights up to and with each member; empty when all are equal.
    sums: Vec<u64>,
}

impl Draw {
    pub(super) fn build(members: &[Member]) -> Self {
        let mut weights = effective_weights(members);
        let first = weights.next();
        let sums = match weights.all(|weight| Some(weight) == first) {
            true => Vec::new(),
            false => effective_weights(members)
                .scan(0, |sum, weight| {
                    *sum += u64::from(weight);
                    Some(*sum)
                })
                .collect(),
        };
        Self {
            members: members.len() as u64,
            sums,
        }
    }

    /// Tells whether all members are equally likely.
    pub(super) fn is_even(&self) -> bool {
        self.sums.is_empty()
    }

    /// Returns the place that 32 random bits stand for; there is at least one member.
    pub(super) fn at(&self, bits: u32) -> usize {
        match self.sums.last() {
            None => scale(bits, self.members) as usize,
            Some(total) => {
                let point = scale(bits, *total);
                self.sums.partition_point(|sum| *sum <= point)
            }
        }
    }
}

/// Turns 32 random bits into a number below `range`.
pub(super) fn scale(bits: u32, range: u64) -> u64 {
    let product = u128::from(bits) * u128::from(range);
    u64::try_from(product >> 32).expect("a product with a fraction of one is below the range")
}
