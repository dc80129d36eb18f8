//! Command lines of MSight, parsed as by Python's `argparse`.
//!
//! Scripts call MSight's programs with two-letter options (`-pt frames`), unique prefixes (`--publish frames`, `-p
//! frames`) and negative numbers as values (`-g -1`). [`Options`] is the table of spellings that a program accepts; it
//! comes from the flags that the program describes, or from its parser. [`Line`] is one command line, parsed with such
//! a table.
//!
//! An option without a help heading belongs to MSight; one with a heading is an addition. A prefix is looked up among
//! MSight's options first, and among the additions only if MSight has no match. So an addition never makes a prefix
//! ambiguous or changes its meaning.
//!
//! The rules are those of CPython 3.10 to 3.13, `Lib/argparse.py` (`_parse_optional`, `_get_option_tuples`,
//! `consume_optional`). Positional arguments and subcommands are not supported: MSight's programs have none.

mod line;
mod options;

pub use self::line::Line;
pub use self::options::{Opt, Options};
