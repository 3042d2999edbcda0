//! Conditions in the words of HAProxy's ACLs, as routes.
//!
//! An expression is one criterion, `hdr(host) -i a.example`, or several, each in braces: side by side
//! all have to hold, `or` stands between alternatives, and `!` in front of what must not hold. `words`
//! takes the text apart, `criterion` reads one criterion, `expression` puts them together, and `routes`
//! makes a route for each alternative.

mod criterion;
mod expression;
mod routes;
mod words;

use proxy::Route;

use self::expression::Expression;

/// Makes routes that are for the requests which an ACL is for; all else in them is that of `template`.
///
/// # Errors
///
/// Returns in words why it is no ACL, or none that routes can express.
pub(super) fn routes(acl: &str, template: &Route) -> Result<Vec<Route>, String> {
    let expression = Expression::parse(acl)?;
    routes::of(&expression, template)
}

/// As [`routes`], of one criterion: what looks like an operator in it is a value.
///
/// # Errors
///
/// As [`routes`].
pub(super) fn routes_of_one(acl: &str, template: &Route) -> Result<Vec<Route>, String> {
    let expression = Expression::of_one(acl)?;
    routes::of(&expression, template)
}

#[cfg(test)]
mod tests;
