//! Which engine serves each chat model, found out before the models are loaded first. What is decided, and why, is plain
//! and lies in `starling_inference::tensorrt::choice`; what is found out comes from a process of its own
//! ([`super::trial`]).

use std::path::{Path, PathBuf};

use starling_inference::{
    DeviceChoice, Source,
    model::ModelFile,
    tensorrt::{
        FILE, Options, Precision,
        choice::{Choice, Engine, Found, choose},
        trial::Trial,
    },
};
use starling_protocol::program::Exit;
use tracing::info;

use super::trial;
use crate::engines::Apart;

/// What the owner wants of TensorRT.
#[derive(Clone, Debug)]
pub struct Wish {
    /// It and nothing else; otherwise where it is right and faster.
    pub by_name: bool,
    /// The engine of this precision; `None`: whichever was built and is fastest.
    pub precision: Option<Precision>,
    /// Where library and engines are, and what may be taken.
    pub options: Options,
}

/// What was decided for a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decided {
    /// As the model is called.
    pub(crate) model: String,
    /// Its engine, and why.
    pub(crate) engine: String,
}

/// A chat model that either engine could serve.
struct Candidate<'a> {
    path: &'a Path,
    context_tokens: Option<u32>,
    slots: Option<u32>,
    hashes: Option<PathBuf>,
}

/// Decides for each source, and says so. Dropping the future ends the tests.
///
/// # Errors
/// When what was asked for by name cannot be had.
pub(crate) async fn settle(
    sources: Vec<Source>,
    wish: &Wish,
    apart: &Apart,
) -> Result<(Vec<Source>, Vec<Decided>), Exit> {
    let (mut settled, mut decided) = (vec![], vec![]);
    for source in sources {
        let Some(candidate) = Candidate::of(&source) else {
            settled.push(source);
            continue;
        };
        let choice = choose(wish.by_name, &find(&candidate, wish, apart).await?);
        let model = named(candidate.path);
        info!(model, engine = %choice, "chosen");
        decided.push(Decided { model, engine: choice.to_string() });
        settled.push(match choice.engine {
            Engine::Llama => source,
            Engine::TensorRt(precision) => candidate.on_card(wish, precision),
            Engine::Nobody => return Err(refused(choice)),
        });
    }
    Ok((settled, decided))
}

impl<'a> Candidate<'a> {
    /// None for what has only one engine: a script, an embedding model, or a model for a device that was named.
    fn of(source: &'a Source) -> Option<Self> {
        let Source::Gguf { path, context_tokens, slots, hashes, device: DeviceChoice::Auto, .. } = source else {
            return None;
        };
        // What cannot be read is for the engine to say.
        let chats = ModelFile::open(path).is_ok_and(|file| file.header.pooling().is_none());
        let (context_tokens, slots, hashes) = (*context_tokens, *slots, hashes.clone());
        chats.then_some(Self { path, context_tokens, slots, hashes })
    }

    fn on_card(&self, wish: &Wish, precision: Precision) -> Source {
        Source::TensorRt {
            path: self.path.to_owned(),
            context_tokens: self.context_tokens,
            slots: self.slots,
            hashes: self.hashes.clone(),
            options: Box::new(Options { precision, ..wish.options.clone() }),
        }
    }
}

/// Finds out; without a process where there is nothing to be found.
async fn find(candidate: &Candidate<'_>, wish: &Wish, apart: &Apart) -> Result<Found, Exit> {
    if let Some(found) = nothing(wish) {
        return Ok(found);
    }
    let Some(program) = &apart.program else {
        return Ok(Found::Broken("engines have no processes of their own here".into()));
    };
    let trial = Trial {
        model: candidate.path.to_owned(),
        context_tokens: candidate.context_tokens,
        slots: candidate.slots,
        precision: wish.precision,
        options: wish.options.clone(),
        hashes: candidate.hashes.clone(),
        driver: String::new(),
    };
    trial::ask(program, &trial).await
}

/// Where a look at two folders says enough.
fn nothing(wish: &Wish) -> Option<Found> {
    if !wish.options.library.join(FILE).is_file() {
        let install = "TensorRT-RTX is not installed (starling-node tensorrt install)";
        return Some(Found::NoLibrary(install.into()));
    }
    let engines = std::fs::read_dir(&wish.options.engines).into_iter().flatten().filter_map(Result::ok);
    let any = engines.map(|file| file.path()).any(|path| path.extension().is_some_and(|end| end == "engine"));
    // By name the card is asked too: the command that builds an engine has to name it.
    (!any && !wish.by_name)
        .then(|| Found::NotBuilt("no engine of TensorRT-RTX was built (starling-node models build)".into()))
}

fn named(path: &Path) -> String {
    ModelFile::open(path).map_or_else(|_| path.display().to_string(), |file| file.name())
}

fn refused(choice: Choice) -> Exit {
    Exit::usage(
        format!("--engine tensorrt: {}", choice.reason),
        "--engine auto takes the best engine that runs here, --engine llama needs no card; starling-node selftest \
         --engine tensorrt shows what this machine can do",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(data: &Path, by_name: bool) -> Wish {
        let options = Options {
            library: super::super::folder(data),
            engines: super::super::engines(data),
            precision: Precision::Fp16,
            workspace: 1 << 30,
            share: 85,
        };
        Wish { by_name, precision: None, options }
    }

    fn source(path: &str, device: DeviceChoice) -> Source {
        Source::Gguf {
            path: Path::new(env!("CARGO_MANIFEST_DIR")).join("../inference/models").join(path),
            context_tokens: None,
            slots: Some(2),
            threads: None,
            saved_bytes: None,
            hashes: None,
            device,
        }
    }

    async fn check(wish: &Wish, apart: &Apart) -> Result<(Vec<Source>, Vec<Decided>), String> {
        let sources = vec![source("stories260K.gguf", DeviceChoice::Auto)];
        settle(sources, wish, apart).await.map_err(|exit| format!("{exit:?}"))
    }

    #[tokio::test]
    async fn without_a_library_llama_serves_and_says_why() {
        let data = tempfile::tempdir().unwrap();
        let (sources, decided) = check(&wish(data.path(), false), &Apart::default()).await.unwrap();
        assert_eq!(sources, [source("stories260K.gguf", DeviceChoice::Auto)]);
        assert!(decided[0].engine.starts_with("llama.cpp: TensorRT-RTX is not installed"), "{decided:?}");
        // Asked for by name there is no other engine.
        let error = check(&wish(data.path(), true), &Apart::default()).await.unwrap_err();
        assert!(error.contains("--engine tensorrt: TensorRT-RTX is not installed"), "{error}");
    }

    #[tokio::test]
    async fn without_an_engine_nothing_is_started() {
        let data = tempfile::tempdir().unwrap();
        let wish = wish(data.path(), false);
        std::fs::create_dir_all(&wish.options.library).unwrap();
        std::fs::write(wish.options.library.join(FILE), "a library").unwrap();
        let (_, decided) = check(&wish, &Apart::default()).await.unwrap();
        assert!(decided[0].engine.contains("no engine of TensorRT-RTX was built"), "{decided:?}");
        // With one there is something to test, and no process to do it in.
        std::fs::create_dir_all(&wish.options.engines).unwrap();
        std::fs::write(wish.options.engines.join("x.engine"), "").unwrap();
        let (_, decided) = check(&wish, &Apart::default()).await.unwrap();
        assert!(decided[0].engine.contains("no processes of their own"), "{decided:?}");
        let gone = Apart { program: Some("no/such/program".into()), scripted: false };
        let (_, decided) = check(&wish, &gone).await.unwrap();
        assert!(decided[0].engine.contains("has not ended here: it does not start"), "{decided:?}");
    }

    #[tokio::test]
    async fn what_has_one_engine_only_is_left_alone() {
        let data = tempfile::tempdir().unwrap();
        let alone = vec![source("stories260K.gguf", DeviceChoice::Cpu), source("no-such.gguf", DeviceChoice::Auto)];
        let (sources, decided) = settle(alone.clone(), &wish(data.path(), true), &Apart::default()).await.unwrap();
        assert_eq!((sources, decided), (alone, vec![]));
    }
}
