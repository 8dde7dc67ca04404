//! Configuration of the relayer: TOML text in, validated settings out.
//!
//! A user describes chains and the paths between them in one file. [`written`] is that file as it stands (every key optional,
//! every value with its place in the text); [`settings`] is what the relayer works with (identifiers, durations, prices and
//! fractions as types, every default filled in). [`load`] goes from one to the other and reports every problem at once, each with
//! file, line, column and what to write instead. [`edit`] writes the ids that `relayer path create` made back into the file and adds
//! chains and paths to it, all other bytes kept. [`template`] makes the first file.
//!
//! Spec: `Configuration` in the relaying specification; ICS-24 for identifiers.
//!
//! Layers, a later one wins, value by value:
//!
//! 1. the file;
//! 2. the environment: `RELAYER__<SECTION>__<KEY>`, for example `RELAYER__GLOBAL__LOG_LEVEL=debug`. Entries of `[[chains]]` and
//!    `[[paths]]` are named by id or name in capitals with every other character as `_`: `RELAYER__CHAINS__SIM_A_1__RPC`,
//!    `RELAYER__PATHS__A_B__BATCH__MESSAGES`. A value is TOML (`["http://a", "http://b"]`, `20`, `true`) or plain text;
//! 3. flags of the command line ([`Overrides`]).
//!
//! Units stand last in a key's name: `_ms`, `_s`, `_bytes`, `_blocks`. Bounds are in [`limits`]. Secrets never stand in the file: it
//! names a keystore entry, an environment variable or the OS keyring. Addresses are printed without user, path and query, and so is
//! the text that errors quote, because providers put API keys there.
//!
//! Errors: [`ConfigError`], a [`miette::Diagnostic`].
//!
//! ```
//! let text = r#"
//! [[chains]]
//! id = "sim-a-1"
//! rpc = "http://127.0.0.1:27657"
//! account_prefix = "cosmos"
//! gas = { price = "0.025stake" }
//! "#;
//! let settings = relayer_config::parse(text, "relayer.toml")?;
//! assert_eq!(settings.chains[0].ws.url().as_str(), "ws://127.0.0.1:27657/websocket");
//!
//! let error = relayer_config::parse(&text.replace("rpc", "rcp"), "relayer.toml").unwrap_err();
//! assert!(error.to_string().contains("relayer.toml:4:1: unknown key `rcp`"));
//! assert!(error.remedy().contains("did you mean `rpc`"));
//! # Ok::<(), relayer_config::ConfigError>(())
//! ```

pub mod edit;
mod environment;
mod error;
pub mod limits;
mod pattern;
pub mod settings;
mod source;
mod structure;
pub mod template;
#[cfg(test)]
mod tests;
mod validate;
mod values;
pub mod written;

use std::fs::File;
use std::io::Read;
use std::path::Path;

pub use environment::{Overrides, variable_name};
pub use error::{ConfigError, Kind, Place, Problem};
pub use settings::Settings;

/// Reads the file at `path`, lays the environment and `overrides` over it and checks the whole.
pub fn load(path: impl AsRef<Path>, overrides: &Overrides) -> Result<Settings, ConfigError> {
    let path = path.as_ref();
    let variables = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
    layered(&read(path)?, &path.display().to_string(), variables, overrides)
}

/// Checks a text on its own, without environment and flags. `file_name` is what errors call it.
pub fn parse(text: &str, file_name: &str) -> Result<Settings, ConfigError> {
    layered(text, file_name, [], &Overrides::default())
}

/// Lays `variables` (those whose name starts with `RELAYER__`) and `overrides` over a text and checks the whole.
pub fn layered(
    text: &str,
    file_name: &str,
    variables: impl IntoIterator<Item = (String, String)>,
    overrides: &Overrides,
) -> Result<Settings, ConfigError> {
    if text.len() > limits::FILE_BYTES {
        return Err(ConfigError::TooLarge { file: file_name.to_owned(), limit: limits::FILE_BYTES });
    }
    let layers = environment::layers(variables, overrides);
    let source = source::Source::new(file_name, text, layers.iter().map(|layer| layer.origin.clone()).collect());
    let (file, mut problems) = structure::read(&source, &layers);
    match validate::settings(&source, &file) {
        Ok(settings) if problems.is_empty() => return Ok(settings),
        Ok(_) => {}
        // What could not be read is not also missing.
        Err(more) if !problems.is_empty() => {
            problems.extend(more.into_iter().filter(|p| !matches!(p.kind, Kind::Missing | Kind::Unresolved)));
        }
        Err(all) => problems = all,
    }
    Err(source.invalid(problems))
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let bound = u64::try_from(limits::FILE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path).and_then(|file| file.take(bound).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() > limits::FILE_BYTES {
        return Err(ConfigError::TooLarge { file: path.display().to_string(), limit: limits::FILE_BYTES });
    }
    String::from_utf8(bytes)
        .map_err(|e| ConfigError::NotText { path: path.to_owned(), at: e.utf8_error().valid_up_to() })
}
