//! What can be wrong with a configuration, told with place and remedy.

use std::fmt;
use std::io;
use std::path::PathBuf;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};
use thiserror::Error;

/// Sort of a [`Problem`], for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Not TOML.
    Syntax,
    /// A key that means nothing here.
    UnknownKey,
    /// A text where a number should be, and the like.
    WrongType,
    /// A key without default is absent.
    Missing,
    /// The value is of the right type but not allowed.
    Invalid,
    /// A name, id or channel that stands there twice.
    Duplicate,
    /// A name that nothing has.
    Unresolved,
    /// A secret stands in the file.
    Secret,
}

impl Kind {
    /// The label under the place.
    fn label(self) -> &'static str {
        match self {
            Self::Syntax => "not TOML",
            Self::UnknownKey => "unknown key",
            Self::WrongType => "wrong type",
            Self::Missing => "a key is missing here",
            Self::Invalid => "not allowed",
            Self::Duplicate => "duplicate",
            Self::Unresolved => "unknown name",
            Self::Secret => "a secret in the file",
        }
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The file.
    File {
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// In bytes from the start of the file.
        offset: usize,
        /// In bytes.
        len: usize,
    },
    /// An environment variable or a flag, by name.
    Outside(String),
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What sort of thing.
    pub kind: Kind,
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// Why there are no settings, or why they could not be written.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file can't be opened or read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The file is larger than any configuration.
    #[error("{file}: larger than {limit} bytes")]
    TooLarge {
        /// The file.
        file: String,
        /// Most allowed.
        limit: usize,
    },
    /// The file is not UTF-8.
    #[error("{}: not UTF-8 text from byte {at} on", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// First bad byte.
        at: usize,
    },
    /// The text was read and something in it is wrong.
    #[error("{}", listed(file, problems))]
    Invalid {
        /// The file.
        file: String,
        /// Its text; addresses and secrets are masked.
        text: Box<NamedSource<String>>,
        /// All that is wrong, at least one thing.
        problems: Vec<Problem>,
    },
    /// The file can't be written; it is as it was before.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// No path has this name.
    #[error("{file}: there is no path named `{name}`")]
    NoSuchPath {
        /// The file.
        file: String,
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The file's channels are others than the ones ids were made for: it changed meanwhile.
    #[error("{file}: channel {number} of path `{path}` has other ports in the file than the channel that was made")]
    ChannelChanged {
        /// The file.
        file: String,
        /// The path.
        path: String,
        /// Which of its channels, from 1.
        number: usize,
    },
    /// The edited text would not say what it should; nothing was written.
    #[error("{file}: this file's layout can't be edited safely at {key}; nothing was written")]
    Layout {
        /// The file.
        file: String,
        /// Where it failed.
        key: String,
    },
}

impl ConfigError {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::Read { path, source } if source.kind() == io::ErrorKind::NotFound => {
                format!("write one with `relayer init`, or name another file than {}", path.display())
            }
            Self::Read { .. } => "make the file readable for the user that runs the relayer".to_owned(),
            Self::TooLarge { .. } => "check the name: this is hardly a configuration".to_owned(),
            Self::NotText { .. } => "save the file as UTF-8".to_owned(),
            Self::Invalid { problems, .. } => match problems.as_slice() {
                [one] => one.help.clone(),
                many => many.iter().map(|p| format!("{}: {}", place(&p.place), p.help)).collect::<Vec<_>>().join("\n"),
            },
            Self::Write { .. } => "check the folder's permissions and the free space on its disk".to_owned(),
            Self::NoSuchPath { known, .. } if known.is_empty() => "add a [[paths]] entry first".to_owned(),
            Self::NoSuchPath { known, .. } => format!("the paths are: {}", known.join(", ")),
            Self::ChannelChanged { .. } => {
                "restore the ports, or remove the channel's entry, and run `relayer path create` again".to_owned()
            }
            Self::Layout { .. } => {
                "write chains as [[chains]] and paths as [[paths]] tables, as in the examples".to_owned()
            }
        }
    }

    /// All that is wrong with the text, when that is the reason.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Invalid { problems, .. } => problems,
            _ => &[],
        }
    }
}

fn place(place: &Place) -> String {
    match place {
        Place::File { line, column, .. } => format!("line {line}") + &format!(", column {column}"),
        Place::Outside(name) => name.clone(),
    }
}

fn listed(file: &str, problems: &[Problem]) -> String {
    let line = |p: &Problem| match &p.place {
        Place::File { line, column, .. } => format!("{file}:{line}:{column}: {}", p.message),
        Place::Outside(name) => format!("{name}: {}", p.message),
    };
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}

impl Diagnostic for ConfigError {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let code = match self {
            Self::Read { .. } => "config::read",
            Self::TooLarge { .. } => "config::too_large",
            Self::NotText { .. } => "config::not_text",
            Self::Invalid { .. } => "config::invalid",
            Self::Write { .. } => "config::write",
            Self::NoSuchPath { .. } => "config::no_such_path",
            Self::ChannelChanged { .. } => "config::channel_changed",
            Self::Layout { .. } => "config::layout",
        };
        Some(Box::new(code))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.remedy()))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        match self {
            Self::Invalid { text, .. } => Some(text.as_ref()),
            _ => None,
        }
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let labels = self.problems().iter().filter_map(|p| match p.place {
            Place::File { offset, len, .. } => Some(LabeledSpan::new(Some(p.kind.label().to_owned()), offset, len)),
            Place::Outside(_) => None,
        });
        (!self.problems().is_empty()).then(|| Box::new(labels) as Box<dyn Iterator<Item = LabeledSpan>>)
    }
}
