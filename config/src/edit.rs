//! Changes to the file that keep every other byte: ids after `relayer path create`, new chains and paths.
//!
//! Comments, order and spelling are the user's; only the lines that hold an id change, and entries are added. The edited text is
//! checked before it replaces the old file, whole and at once (temporary file beside it, fsync, rename; permissions kept), so a crash
//! or a full disk leaves the old file. A symbolic link stays one: its target is replaced.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let file = folder.path().join("relayer.toml");
//! # std::fs::write(&file, include_str!("../examples/minimal.toml"))?;
//! use relayer_config::edit::{EndIds, PathIds, write_path_ids};
//! let end = |client: &str| -> Result<EndIds, relayer_core::id::IdError> {
//!     Ok(EndIds { client: Some(client.parse()?), connection: None })
//! };
//! write_path_ids(&file, "a-b", &PathIds { a: end("07-tendermint-0")?, b: end("07-tendermint-3")?, channels: vec![] })?;
//! assert!(std::fs::read_to_string(&file)?.contains(r#"b = { chain = "sim-b-1", client = "07-tendermint-3" }"#));
//! # Ok(())
//! # }
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use relayer_core::id::{ChannelId, ClientId, ConnectionId, PortId};
use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use crate::error::ConfigError;
use crate::settings::{Order, Settings};
use crate::template::{NewChain, NewPath};

/// Ids of one path, as far as they are made. `None` leaves what the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathIds {
    /// On the path's `a`.
    pub a: EndIds,
    /// On the path's `b`.
    pub b: EndIds,
    /// The first belongs to the path's first `[[paths.channels]]`, and so on; more than the file has are added.
    pub channels: Vec<ChannelIds>,
}

/// Ids of one end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndIds {
    /// The client on this chain.
    pub client: Option<ClientId>,
    /// The connection end on this chain.
    pub connection: Option<ConnectionId>,
}

/// Ids of one channel. Ports, order and version are those it was made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelIds {
    /// Port on the path's `a`.
    pub a_port: PortId,
    /// Channel end on the path's `a`.
    pub a: Option<ChannelId>,
    /// Port on the path's `b`.
    pub b_port: PortId,
    /// Channel end on the path's `b`.
    pub b: Option<ChannelId>,
    /// Written for channels the file doesn't have yet.
    pub order: Order,
    /// Written for channels the file doesn't have yet.
    pub version: String,
}

/// Writes ids into the `[[paths]]` entry with this name.
pub fn write_path_ids(file: impl AsRef<Path>, path: &str, ids: &PathIds) -> Result<(), ConfigError> {
    edit(file.as_ref(), |text, name| with_path_ids(text, name, path, ids))
}

/// Adds a chain after the last `[[chains]]` entry.
pub fn add_chain(file: impl AsRef<Path>, chain: &NewChain) -> Result<(), ConfigError> {
    edit(file.as_ref(), |text, name| with_entry(text, name, "chains", &chain.to_string()))
}

/// Adds a path after the last `[[paths]]` entry. Its chains must be in the file.
pub fn add_path(file: impl AsRef<Path>, path: &NewPath) -> Result<(), ConfigError> {
    edit(file.as_ref(), |text, name| with_entry(text, name, "paths", &path.to_string()))
}

/// Writes a new file, as `relayer init` does. An existing one is left alone.
pub fn create(file: impl AsRef<Path>, text: &str) -> Result<(), ConfigError> {
    let file = file.as_ref();
    crate::parse(text, &file.display().to_string())?;
    let failed = |source| ConfigError::Write { path: file.to_owned(), source };
    let mut new = OpenOptions::new().write(true).create_new(true).open(file).map_err(failed)?;
    new.write_all(text.as_bytes()).and_then(|()| new.sync_all()).map_err(failed)
}

/// The text with the ids in it; `name` is what errors call the file.
pub fn with_path_ids(text: &str, name: &str, path: &str, ids: &PathIds) -> Result<String, ConfigError> {
    let before = crate::parse(text, name)?;
    let Some(index) = before.paths.iter().position(|p| p.name.as_str() == path) else {
        let known = before.paths.iter().map(|p| p.name.to_string()).collect();
        return Err(ConfigError::NoSuchPath { file: name.to_owned(), name: path.chars().take(64).collect(), known });
    };
    same_ports(&before, name, index, ids)?;
    let layout = |key: &str| ConfigError::Layout { file: name.to_owned(), key: key.to_owned() };
    let mut document = parse_document(text, name)?;
    let entry = document.get_mut("paths").and_then(|paths| nth(paths, index)).ok_or_else(|| layout("paths"))?;
    for (side, end) in [("a", &ids.a), ("b", &ids.b)] {
        let end_table = entry.get_mut(side).and_then(Item::as_table_like_mut).ok_or_else(|| layout(side))?;
        set(end_table, "client", end.client.as_ref().map(ClientId::as_str));
        set(end_table, "connection", end.connection.as_ref().map(ConnectionId::as_str));
    }
    let known = before.paths.get(index).map_or(0, |p| p.channels.len());
    for (number, channel) in ids.channels.iter().enumerate() {
        if number >= known {
            push(entry, channel).ok_or_else(|| layout("channels"))?;
            continue;
        }
        let channels = entry.get_mut("channels").ok_or_else(|| layout("channels"))?;
        let table = nth(channels, number).ok_or_else(|| layout("channels"))?;
        for (side, port, id) in [("a", &channel.a_port, &channel.a), ("b", &channel.b_port, &channel.b)] {
            if id.is_none() {
                continue;
            }
            if !table.contains_key(side) {
                insert(table, side, Value::InlineTable(end_of(port, None)));
            }
            let end = table.get_mut(side).and_then(Item::as_table_like_mut).ok_or_else(|| layout("channels"))?;
            set(end, "channel", id.as_ref().map(ChannelId::as_str));
        }
    }
    let after = rendered(&document, text);
    // Whatever the layout was: the new text must say exactly what was asked.
    if crate::parse(&after, name)? == expected(before, index, ids) { Ok(after) } else { Err(layout("paths")) }
}

fn same_ports(before: &Settings, name: &str, index: usize, ids: &PathIds) -> Result<(), ConfigError> {
    let Some(path) = before.paths.get(index) else {
        return Ok(());
    };
    let both = path.channels.iter().zip(&ids.channels).enumerate();
    for (at, (written, made)) in both {
        if written.a.port != made.a_port || written.b.port != made.b_port {
            let (file, path, number) = (name.to_owned(), path.name.to_string(), at.saturating_add(1));
            return Err(ConfigError::ChannelChanged { file, path, number });
        }
    }
    Ok(())
}

fn expected(mut settings: Settings, index: usize, ids: &PathIds) -> Settings {
    use crate::settings::{Channel, ChannelEnd};
    let Some(path) = settings.paths.get_mut(index) else {
        return settings;
    };
    for (end, ids) in [(&mut path.a, &ids.a), (&mut path.b, &ids.b)] {
        end.client = ids.client.clone().or(end.client.take());
        end.connection = ids.connection.clone().or(end.connection.take());
    }
    for (number, made) in ids.channels.iter().enumerate() {
        match path.channels.get_mut(number) {
            Some(channel) => {
                channel.a.channel = made.a.clone().or(channel.a.channel.take());
                channel.b.channel = made.b.clone().or(channel.b.channel.take());
            }
            None => path.channels.push(Channel {
                a: ChannelEnd { port: made.a_port.clone(), channel: made.a.clone() },
                b: ChannelEnd { port: made.b_port.clone(), channel: made.b.clone() },
                order: made.order,
                version: made.version.clone(),
                excluded: Default::default(),
            }),
        }
    }
    settings
}

fn parse_document(text: &str, name: &str) -> Result<DocumentMut, ConfigError> {
    let layout = |_| ConfigError::Layout { file: name.to_owned(), key: "its start".to_owned() };
    text.parse::<DocumentMut>().map_err(layout)
}

/// The document with the line ends of the text it was read from: toml_edit writes `\n` only.
fn rendered(document: &DocumentMut, before: &str) -> String {
    let after = document.to_string();
    let windows = before.contains("\r\n") && before.matches('\n').count() == before.matches("\r\n").count();
    if windows { after.replace("\r\n", "\n").replace('\n', "\r\n") } else { after }
}

/// The entry of a list, written as `[[list]]` or as `list = [{ ... }]`.
fn nth(list: &mut Item, index: usize) -> Option<&mut dyn TableLike> {
    match list {
        Item::ArrayOfTables(tables) => tables.get_mut(index).map(|table| table as &mut dyn TableLike),
        Item::Value(Value::Array(values)) => {
            values.get_mut(index).and_then(Value::as_inline_table_mut).map(|table| table as &mut dyn TableLike)
        }
        _ => None,
    }
}

/// Sets a text, the decoration around the old value kept; an equal one is not touched.
fn set(table: &mut dyn TableLike, key: &str, text: Option<&str>) {
    let Some(text) = text else { return };
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(value) if value.as_str() == Some(text) => {}
        Some(value) => {
            let decor = value.decor().clone();
            *value = Value::from(text);
            *value.decor_mut() = decor;
        }
        None => insert(table, key, Value::from(text)),
    }
}

/// Adds a key at the end. In an inline table the blanks before the closing brace move behind the new value.
fn insert(table: &mut dyn TableLike, key: &str, mut value: Value) {
    let last = table.iter().last().map(|(key, _)| key.to_owned());
    let last = last.and_then(|key| table.get_mut(&key)).and_then(Item::as_value_mut);
    // In a [table] what follows the last value is its comment.
    let blanks = last.and_then(|last| {
        let suffix = last.decor().suffix().and_then(|s| s.as_str()).unwrap_or_default().to_owned();
        let blank = !suffix.is_empty() && suffix.chars().all(|c| c == ' ');
        blank.then(|| last.decor_mut().set_suffix("")).map(|()| suffix)
    });
    if let Some(blanks) = blanks {
        value = value.decorated(" ", blanks);
    }
    table.insert(key, Item::Value(value));
}

fn end_of(port: &PortId, channel: Option<&ChannelId>) -> InlineTable {
    let mut end = InlineTable::new();
    end.insert("port", port.as_str().into());
    if let Some(channel) = channel {
        end.insert("channel", channel.as_str().into());
    }
    end
}

/// Adds a channel to a path, as `[[paths.channels]]` where the layout allows it.
fn push(path: &mut dyn TableLike, channel: &ChannelIds) -> Option<()> {
    let order = crate::template::order(channel.order);
    let mut table = Table::new();
    table.insert("a", Item::Value(end_of(&channel.a_port, channel.a.as_ref()).into()));
    table.insert("b", Item::Value(end_of(&channel.b_port, channel.b.as_ref()).into()));
    table.insert("order", Item::Value(order.into()));
    table.insert("version", Item::Value(channel.version.as_str().into()));
    table.decor_mut().set_prefix("\n");
    // Only a [table] can have [[tables]] below it; dyn TableLike doesn't tell, but its values do: an inline one refuses them.
    match path.get_mut("channels") {
        Some(Item::ArrayOfTables(tables)) => tables.push(table),
        Some(Item::Value(Value::Array(values))) => values.push(table.into_inline_table()),
        Some(_) => return None,
        None => {
            let mut tables = ArrayOfTables::new();
            tables.push(table);
            path.insert("channels", Item::ArrayOfTables(tables));
        }
    }
    Some(())
}

/// The text with one more `[[list]]` entry after the last one.
fn with_entry(text: &str, name: &str, list: &str, entry: &str) -> Result<String, ConfigError> {
    crate::parse(text, name)?;
    let layout = || ConfigError::Layout { file: name.to_owned(), key: list.to_owned() };
    let mut document = parse_document(text, name)?;
    let mut added = parse_document(entry, name)?;
    let mut tables = match added.remove(list) {
        Some(Item::ArrayOfTables(tables)) => tables,
        _ => return Err(layout()),
    };
    for table in tables.iter_mut() {
        unplaced(table);
        table.decor_mut().set_prefix(if text.trim().is_empty() { "" } else { "\n" });
    }
    match document.get_mut(list) {
        Some(Item::ArrayOfTables(all)) => all.extend(tables),
        Some(_) => return Err(layout()),
        None => {
            document.insert(list, Item::ArrayOfTables(tables));
        }
    }
    let after = rendered(&document, text);
    crate::parse(&after, name)?;
    Ok(after)
}

/// Forgets where a table stood in the text it was read from, so that it stands where it is put.
fn unplaced(table: &mut Table) {
    table.set_position(None);
    for (_, item) in table.iter_mut() {
        match item {
            Item::Table(below) => unplaced(below),
            Item::ArrayOfTables(all) => all.iter_mut().for_each(unplaced),
            _ => {}
        }
    }
}

fn edit(file: &Path, change: impl Fn(&str, &str) -> Result<String, ConfigError>) -> Result<(), ConfigError> {
    // The file itself, so that a symbolic link is not replaced by a file.
    let target = fs::canonicalize(file).map_err(|source| ConfigError::Read { path: file.to_owned(), source })?;
    let before = crate::read(&target)?;
    let after = change(&before, &file.display().to_string())?;
    if after == before {
        return Ok(());
    }
    replace(&target, &after).map_err(|source| ConfigError::Write { path: file.to_owned(), source })
}

/// Replaces a file whole and at once.
fn replace(target: &Path, text: &str) -> io::Result<()> {
    let permissions = fs::metadata(target)?.permissions();
    let folder = target.parent().unwrap_or(Path::new("."));
    let temporary = Temporary(folder.join(format!(
        ".{}.{}.tmp",
        target.file_name().unwrap_or_default().to_string_lossy(),
        std::process::id()
    )));
    let mut file = temporary.create()?;
    file.set_permissions(permissions)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary.0, target)?;
    // The new name is on disk only when the folder is.
    File::open(folder)?.sync_all()
}

/// A file that is gone when it was not renamed.
struct Temporary(PathBuf);

impl Temporary {
    fn create(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&self.0) {
            // Left by a crashed run with the same process id.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(&self.0)?;
                options.open(&self.0)
            }
            opened => opened,
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After the rename there is nothing to remove, and that is no error.
        fs::remove_file(&self.0).ok();
    }
}
