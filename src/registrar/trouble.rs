//! Why a target hasn't done what it was asked to.

/// Says what went wrong at a target, in words, and whether time can heal it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The target has understood and doesn't want to: asked again, it will say the same.
    #[error("the target refuses: {0}")]
    Refused(String),
    /// The target can't be reached, or can't do it now.
    #[error("{0}")]
    Passing(String),
}
