//! `msight nodes`: lists node programs, and describes one.

mod list;
mod page;
mod sheet;

use anyhow::{Result, bail};
use msight_node::Entry;
use serde_json::json;

pub use self::page::markdown;
use super::{columns, print, print_json};
use msight_graph::catalog::{Catalog, NotFound, Origin, Program};

/// List the available node programs, or describe one
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Name or path of a program: show its topics, flags and metrics [default: list all programs]
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// Include MSight's programs that are not installed on this machine
    #[arg(long, conflicts_with = "name")]
    all: bool,

    /// Print the description as a Markdown page
    #[arg(long, requires = "name", conflicts_with = "format")]
    markdown: bool,

    /// Output format
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
/// The program is unknown, or not a node program.
pub async fn run(args: Args, entries: &[Entry]) -> Result<()> {
    let catalog = Catalog::new(entries, std::env::var_os("PATH").as_deref());
    let Some(name) = &args.name else { return list(&catalog, &args).await };
    let program = match catalog.find(name).await {
        Ok(program) => program,
        Err(NotFound::Unknown { near: Some(near), .. }) => {
            bail!("unknown program {name:?}; did you mean {near}?")
        }
        Err(NotFound::Unknown { .. }) => {
            bail!("unknown program {name:?}; list all programs with `msight nodes --all`")
        }
        Err(reason) => return Err(reason.into()),
    };
    match args.format {
        _ if args.markdown => print(markdown(program.description())),
        Format::Json => print_json(&as_json(&program, true)),
        Format::Text => print(sheet::text(&program, width())),
    }
}

async fn list(catalog: &Catalog, args: &Args) -> Result<()> {
    let (mut programs, others) = catalog.list().await;
    programs.retain(|program| args.all || *program.origin() != Origin::Python(None));
    match args.format {
        Format::Text => print(list::text(&programs, &others)),
        Format::Json => {
            let programs: Vec<_> = programs.iter().map(|program| as_json(program, false)).collect();
            let others: Vec<String> = others.iter().map(ToString::to_string).collect();
            print_json(&json!({ "programs": programs, "unusable": others }))
        }
    }
}

/// The program's description, with its origin.
fn as_json(program: &Program, with_flags: bool) -> serde_json::Value {
    let mut value = json!(program.description());
    value["origin"] = json!(program.origin());
    if let Some(fields) = value.as_object_mut().filter(|_| !with_flags) {
        fields.remove("flags");
    }
    value
}

/// The width of the text in columns: that of the terminal, within limits that are good to read.
fn width() -> usize {
    const PAGE: usize = 100;
    columns().map_or(PAGE, |columns| columns.clamp(40, PAGE))
}
