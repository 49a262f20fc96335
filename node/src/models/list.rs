//! `models list`: what is here and what the files say about themselves.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use serde::Serialize;
use starling_inference::{
    model::{Hashes, Header},
    tensorrt::{
        choice::{Tested, judge},
        file::Description,
        trial,
    },
};
use starling_protocol::{
    ModelId,
    program::{Exit, say},
};

use super::{quantisation, show, store::Store};

/// Digits of a hash that are shown: enough to tell models apart.
const DIGITS: usize = 12;

/// One model, as it is listed.
#[derive(Serialize)]
struct Row {
    name: String,
    path: PathBuf,
    bytes: u64,
    sha256: String,
    /// `None` where the file is missing or its header damaged.
    architecture: Option<String>,
    quantisation: Option<String>,
    context_tokens: Option<u64>,
    source: String,
    pulled: Option<String>,
    /// What TensorRT-RTX has built of it.
    engines: Vec<Built>,
}

/// An engine, as it is listed.
#[derive(Serialize)]
struct Built {
    precision: String,
    target: String,
    slots: u32,
    context_tokens: u32,
    bytes: u64,
    /// Whether it serves, and why or why not.
    state: String,
}

/// How the list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Table,
    Json,
}

/// Prints the models of the store, and those that were served from where they lie.
pub(crate) fn run(store: &Store, hashes: &Hashes, engines: &Path, form: Form) -> Result<(), Exit> {
    let mut rows = rows(store, hashes)?;
    for row in &mut rows {
        row.engines = built(engines, &row.sha256);
    }
    match form {
        Form::Json => {
            say(serde_json::to_string_pretty(&rows).map_err(|error| Exit::failed(format!("the list: {error}")))?);
        }
        Form::Table if rows.is_empty() => {
            show::note("no models yet; starling-node models pull hf:Qwen/Qwen3-8B-GGUF:Q5_K_M would get one");
        }
        Form::Table => {
            say(show::table(&table(&rows)));
            rows.iter().for_each(|row| row.engines.iter().for_each(|engine| say(line(row, engine))));
        }
    }
    Ok(())
}

fn built(engines: &Path, sha256: &str) -> Vec<Built> {
    let Ok(model) = sha256.parse::<ModelId>() else { return vec![] };
    let engine = |(built, tested): (Description, Option<Tested>)| Built {
        precision: built.precision.to_string(),
        target: built.capability.to_string(),
        slots: built.slots,
        context_tokens: built.context_tokens,
        bytes: built.bytes,
        state: match judge(false, &tested.unwrap_or(Tested::Never)) {
            (true, why) => format!("serves: {why}"),
            (false, why) => why,
        },
    };
    trial::built(engines, model.as_bytes()).into_iter().map(engine).collect()
}

fn line(row: &Row, engine: &Built) -> String {
    let Built { precision, target, slots, context_tokens, bytes, state } = engine;
    let size = show::size(*bytes);
    format!("{}: TensorRT-RTX {precision} for {target}, {slots} x {context_tokens}, {size}: {state}", row.name)
}

fn rows(store: &Store, hashes: &Hashes) -> Result<Vec<Row>, Exit> {
    let pulled = store.entries()?.into_iter().map(|entry| {
        let path = store.path(&entry);
        Row { pulled: Some(entry.pulled), ..Row::of(entry.name, path, entry.bytes, entry.sha256, entry.source) }
    });
    let outside = hashes.known().into_iter().filter(|known| !known.path.starts_with(store.folder())).map(|known| {
        let name = known.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let source = known.path.display().to_string();
        Row::of(name, known.path, known.bytes, ModelId::new(known.sha256).to_string(), source)
    });
    Ok(pulled.chain(outside).collect())
}

impl Row {
    fn of(name: String, path: PathBuf, bytes: u64, sha256: String, source: String) -> Self {
        let header = header(&path, bytes);
        let own = header.as_ref().and_then(Header::quantisation).map(str::to_owned);
        let shown = || quantisation::of_file(path.to_str()?);
        Self {
            name,
            bytes,
            sha256,
            architecture: header.as_ref().map(|header| header.architecture().to_owned()),
            quantisation: own.or_else(shown),
            context_tokens: header.as_ref().and_then(Header::context_tokens),
            source,
            pulled: None,
            engines: vec![],
            path,
        }
    }

    fn state(&self) -> &'static str {
        if self.path.exists() { "damaged" } else { "missing" }
    }
}

/// What the file says about itself; `None` when it is not what it was.
fn header(path: &Path, bytes: u64) -> Option<Header> {
    let file = File::open(path).ok()?;
    let same = file.metadata().ok()?.len() == bytes;
    Header::read(file, bytes).ok().filter(|_| same)
}

fn table(rows: &[Row]) -> Vec<[String; 7]> {
    let heading = ["NAME", "SIZE", "QUANTISATION", "ARCHITECTURE", "CONTEXT", "SHA-256", "FROM"].map(str::to_owned);
    let line = |row: &Row| {
        [
            row.name.clone(),
            show::size(row.bytes),
            row.quantisation.clone().unwrap_or_else(|| "-".to_owned()),
            row.architecture.clone().unwrap_or_else(|| row.state().to_owned()),
            row.context_tokens.map_or_else(|| "-".to_owned(), |tokens| tokens.to_string()),
            row.sha256.get(..DIGITS).unwrap_or_default().to_owned(),
            row.source.clone(),
        ]
    };
    std::iter::once(heading).chain(rows.iter().map(line)).collect()
}
