//! MSight's command lines, as Python's `argparse` reads them.
//!
//! Scripts call MSight's programs with two-letter options (`-pt frames`), unique prefixes (`--publish frames`,
//! `-p frames`) and negative numbers as values (`-g -1`). [`Options`] is the table of spellings that a program accepts,
//! [`Line`] one command line read by it. A table is made of the flags that a program describes, or of its own parser.
//!
//! An option without a help heading belongs to MSight, one with a heading is an addition. A prefix is looked up among
//! MSight's options first, so that an addition never makes a prefix ambiguous or changes what it means; only a prefix
//! that MSight would not know at all is looked up among the additions.
//!
//! The rules are those of CPython 3.10 to 3.13, `Lib/argparse.py` (`_parse_optional`, `_get_option_tuples`,
//! `consume_optional`). Positional arguments and subcommands are not supported: MSight's programs have none.

mod line;
mod options;

pub use self::line::Line;
pub use self::options::{Opt, Options};
