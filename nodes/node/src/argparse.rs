//! MSight's command lines, as Python's `argparse` reads them, in front of clap.
//!
//! [`normalise`] rewrites a line into the one form that clap and `argparse` agree on, `--long=value`; [`parse`] also
//! runs clap on it and reports errors in argparse's order and words. The rules are those of
//! [`msight_contract::argparse`]. The table of spellings is made of the [`clap::Command`] itself:
//!
//! * an alias of exactly two letters is a one-dash option: `alias = "pt"` on `--publish-topic` is `-pt`;
//! * an option **without** a help heading belongs to MSight, one **with** a heading is an addition.

mod error;
mod number;
mod parser;
mod table;

pub use self::error::Error;
pub use self::number::{float, int};
pub use self::parser::{Parser, normalise, parse};
pub(crate) use self::table::two_letter_alias;

#[cfg(test)]
mod tests;
