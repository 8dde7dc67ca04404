//! The configuration between runs: ids that `path create` wrote, chains and paths beside the usual two.

use std::path::Path;

use toml_edit::{DocumentMut, TableLike};

use crate::DevnetError;
use crate::devnet::{ACCOUNT_PREFIX, TestChain};

/// The ids of one path, as the configuration file holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathIds {
    /// Client ids on the path's ends.
    pub clients: (String, String),
    /// Connection ids on the path's ends.
    pub connections: (String, String),
    /// Channel ids on the path's ends.
    pub channels: Vec<(String, String)>,
}

/// The ids that stand in the file for this path.
///
/// # Errors
/// [`DevnetError::Io`] or [`DevnetError::Template`] if the file is not of that shape or lacks an id.
pub fn channels(file: &Path, path: &str) -> Result<PathIds, DevnetError> {
    let wrong = |reason: String| DevnetError::Template { file: file.to_owned(), reason };
    let text = std::fs::read_to_string(file).map_err(DevnetError::io(file.display().to_string()))?;
    let doc: DocumentMut = text.parse().map_err(|e: toml_edit::TomlError| wrong(e.to_string()))?;
    let lacks = |what: &str| wrong(format!("path {path} has no {what}"));
    let paths = doc.get("paths").and_then(|p| p.as_array_of_tables()).ok_or_else(|| lacks("entry"))?;
    let name = |t: &&toml_edit::Table| t.get("name").and_then(|n| n.as_str()) == Some(path);
    let entry = paths.iter().find(name).ok_or_else(|| lacks("entry"))?;
    let both = |of: &dyn TableLike, key: &str| {
        let one = |end: &str| {
            let end = of.get(end).and_then(|e| e.as_table_like())?;
            end.get(key).and_then(|v| v.as_str()).map(str::to_owned)
        };
        one("a").zip(one("b")).ok_or_else(|| lacks(key))
    };
    let tables = entry.get("channels").and_then(|c| c.as_array_of_tables()).ok_or_else(|| lacks("channels"))?;
    Ok(PathIds {
        clients: both(entry, "client")?,
        connections: both(entry, "connection")?,
        channels: tables.iter().map(|t| both(t, "channel")).collect::<Result<_, _>>()?,
    })
}

/// Writes the ids into a file that has none yet for this path, as `path create` would.
///
/// # Errors
/// As [`channels`].
pub(super) fn write_ids(file: &Path, path: &str, ids: &PathIds) -> Result<(), DevnetError> {
    let wrong = |reason: &str| DevnetError::Template { file: file.to_owned(), reason: reason.to_owned() };
    let text = std::fs::read_to_string(file).map_err(DevnetError::io(file.display().to_string()))?;
    let mut doc: DocumentMut = text.parse().map_err(|e: toml_edit::TomlError| wrong(&e.to_string()))?;
    let paths = doc.get_mut("paths").and_then(|p| p.as_array_of_tables_mut()).ok_or_else(|| wrong("no paths"))?;
    let named = |t: &&mut toml_edit::Table| t.get("name").and_then(|n| n.as_str()) == Some(path);
    let entry = paths.iter_mut().find(named).ok_or_else(|| wrong("no such path"))?;
    set(entry, "client", &ids.clients);
    set(entry, "connection", &ids.connections);
    let tables = entry.get_mut("channels").and_then(|c| c.as_array_of_tables_mut()).ok_or_else(|| wrong("channels"))?;
    for (table, channel) in tables.iter_mut().zip(&ids.channels) {
        set(table, "channel", channel);
    }
    std::fs::write(file, doc.to_string()).map_err(DevnetError::io(file.display().to_string()))
}

fn set(of: &mut toml_edit::Table, key: &str, (a, b): &(String, String)) {
    for (end, value) in [("a", a), ("b", b)] {
        if let Some(end) = of.get_mut(end).and_then(|e| e.as_table_like_mut()) {
            end.insert(key, toml_edit::value(value));
        }
    }
}

/// Appends a `[[chains]]` entry for a chain, with the key of the wallet `relayer`.
pub fn add_chain(text: &mut String, chain: &dyn TestChain) {
    let (id, rpc, price) = (chain.id(), chain.node().url(), chain.gas_price());
    let block_time_ms = chain.block_time_ms();
    *text += &format!(
        "\n[[chains]]\nid = {id:?}\nrpc = [{rpc:?}]\naccount_prefix = {ACCOUNT_PREFIX:?}\n\
         block_time_ms = {block_time_ms}\ngas = {{ price = {price:?} }}\n\
         key = {{ name = \"relayer\", source = \"env\", env = \"RELAYER_TEST_RELAYER\" }}\n"
    );
}

/// Appends a `[[paths]]` entry with one transfer channel.
pub fn add_path(text: &mut String, name: &str, a: &str, b: &str) {
    *text += &format!(
        "\n[[paths]]\nname = {name:?}\na = {{ chain = {a:?} }}\nb = {{ chain = {b:?} }}\n\n\
         [[paths.channels]]\na = {{ port = \"transfer\" }}\nb = {{ port = \"transfer\" }}\n"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_from_inline_tables_and_from_tables() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("r.toml");
        let mut text = String::new();
        add_path(&mut text, "x", "one", "two");
        std::fs::write(&file, &text).unwrap();
        assert!(channels(&file, "x").unwrap_err().to_string().contains("client"));
        text += "\n[[paths]]\nname = \"y\"\na = { client = \"c0\", connection = \"n0\" }\n\
                 [paths.b]\nclient = \"c1\"\nconnection = \"n1\"\n\
                 [[paths.channels]]\na = { channel = \"h0\" }\nb.channel = \"h1\"\n";
        std::fs::write(&file, &text).unwrap();
        let ids = channels(&file, "y").unwrap();
        assert_eq!((ids.clients.0.as_str(), ids.connections.1.as_str()), ("c0", "n1"));
        assert_eq!(ids.channels, [("h0".to_owned(), "h1".to_owned())]);
        write_ids(&file, "x", &ids).unwrap();
        assert_eq!(channels(&file, "x").unwrap(), ids);
    }
}
