//! `msight nodes`: the programs that graphs can be built of, and the flags of each.

mod list;
mod page;
mod sheet;

use anyhow::{Result, bail};
use msight_node::Entry;
use serde_json::json;

pub use self::page::markdown;
use super::{columns, say};
use msight_graph::catalog::{Catalog, NotFound, Origin, Program};

/// Lists the programs that a graph can be built of, or shows what one of them is and takes
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// A program, by its name or its path: show its flags. Without it all programs that are found are listed
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// List the programs of MSight that are not on this machine too
    #[arg(long, conflicts_with = "name")]
    all: bool,

    /// Show the flags as a page of reference, in Markdown
    #[arg(long, requires = "name", conflicts_with = "format")]
    markdown: bool,

    /// How to show it
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Prints the programs.
///
/// # Errors
/// There is no program of the name, or it is no node.
pub async fn run(args: Args, entries: &[Entry]) -> Result<()> {
    let catalog = Catalog::new(entries, std::env::var_os("PATH").as_deref());
    let Some(name) = &args.name else { return list(&catalog, &args).await };
    let program = match catalog.find(name).await {
        Ok(program) => program,
        Err(NotFound::Unknown { near: Some(near), .. }) => {
            bail!("there is no program {name:?}; did you mean {near}?")
        }
        Err(NotFound::Unknown { .. }) => {
            bail!("there is no program {name:?}; `msight nodes --all` lists what there is")
        }
        Err(reason) => return Err(reason.into()),
    };
    match args.format {
        _ if args.markdown => say(markdown(program.description())),
        Format::Json => say(format_args!("{:#}\n", as_json(&program, true))),
        Format::Text => say(sheet::text(&program, width())),
    }
}

async fn list(catalog: &Catalog, args: &Args) -> Result<()> {
    let (mut programs, others) = catalog.list().await;
    programs.retain(|program| args.all || *program.origin() != Origin::Python(None));
    match args.format {
        Format::Text => say(list::text(&programs, &others)),
        Format::Json => {
            let programs: Vec<_> = programs.iter().map(|program| as_json(program, false)).collect();
            let others: Vec<String> = others.iter().map(ToString::to_string).collect();
            say(format_args!("{:#}\n", json!({ "programs": programs, "unusable": others })))
        }
    }
}

/// What the program says of itself, and where it is from.
fn as_json(program: &Program, with_flags: bool) -> serde_json::Value {
    let mut value = json!(program.description());
    value["origin"] = json!(program.origin());
    if let Some(fields) = value.as_object_mut().filter(|_| !with_flags) {
        fields.remove("flags");
    }
    value
}

/// Columns of the terminal; the width of a page where it is none, and where it is wider than is good to read.
fn width() -> usize {
    const PAGE: usize = 100;
    columns().map_or(PAGE, |columns| columns.clamp(40, PAGE))
}
