//! A random choice, by weight.

use std::sync::Arc;

use super::{Balance, Member, Request, draw::Draw, first_untried};
use crate::Endpoint;

/// Draws a member.
#[derive(Debug)]
pub(super) struct Random {
    members: Vec<Member>,
    draw: Draw,
}

impl Random {
    pub(super) fn build(members: &[Member]) -> Self {
        Self {
            members: members.to_vec(),
            draw: Draw::build(members),
        }
    }
}

impl Balance for Random {
    fn pick(&self, request: &Request<'_>) -> Option<&Arc<Endpoint>> {
        if self.members.is_empty() {
            return None;
        }
        let drawn = self.draw.at(request.seed as u32);
        let chosen = &self.members[drawn].endpoint;
        if !request.has_tried(chosen) {
            return Some(chosen);
        }
        // From anywhere, so that no neighbour gets all that another one fails.
        let start = super::draw::scale((request.seed >> 32) as u32, self.members.len() as u64);
        first_untried(&self.members, start as usize, request)
    }
}
