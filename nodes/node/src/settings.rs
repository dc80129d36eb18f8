//! What a node is opened with.

use anyhow::Result;

use crate::flags::CommonFlags;

/// The flags of a node, or what the node has parsed them into.
///
/// A type that derives [`clap::Args`] is its own settings, with nothing more to write. A node whose flags need a
/// further look (a number in a range, a URL, a file to read) parses them once into a type of its own, and is opened
/// with that:
///
/// ```
/// use msight_node::{Context, Node, Result, Settings, anyhow};
///
/// /// Waits for a plate number.
/// #[derive(clap::Args)]
/// struct Flags {
///     /// The plate number
///     #[arg(long)]
///     plate: String,
/// }
///
/// #[derive(Clone)]
/// struct Plate {
///     letters: String,
///     number: u32,
/// }
///
/// impl Settings for Plate {
///     type Flags = Flags;
///     fn parse(flags: Flags) -> Result<Self> {
///         let (letters, number) =
///             flags.plate.split_once('-').ok_or_else(|| anyhow!("--plate: expected ABC-1234"))?;
///         Ok(Self { letters: letters.to_owned(), number: number.parse()? })
///     }
/// }
///
/// struct WaitForPlate(Plate);
/// impl Node for WaitForPlate {
///     const NAME: &'static str = "wait_for_plate";
///     type Args = Plate;
///     async fn open(plate: Plate, _: &Context) -> Result<Self> {
///         Ok(Self(plate))
///     }
/// }
/// ```
pub trait Settings: Sized + Clone + Send + Sync + 'static {
    /// The flags. The doc comment of the type is the program's description in `--help`.
    type Flags: clap::Args;

    /// Parses the flags, before anything is contacted. An error is one of usage (exit code 2).
    ///
    /// `msight check` parses the flags of nodes that run elsewhere. A file that a flag names may be absent there, so
    /// an error with an [`std::io::Error`] in its chain does not count as a mistake in the command line.
    ///
    /// # Errors
    /// What is wrong with the flags, without credentials.
    fn parse(flags: Self::Flags) -> Result<Self>;

    /// Checks the settings against the flags that all nodes share, such as the topics of further ports, which some flags of
    /// the node need. An error is one of usage, as in [`parse`](Self::parse).
    ///
    /// # Errors
    /// Which flags do not fit together.
    fn check(&self, _common: &CommonFlags) -> Result<()> {
        Ok(())
    }
}

impl<T: clap::Args + Clone + Send + Sync + 'static> Settings for T {
    type Flags = Self;

    fn parse(flags: Self) -> Result<Self> {
        Ok(flags)
    }
}
