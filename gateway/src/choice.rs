//! Which model a request means, among those that the swarm serves now.

use starling_protocol::{ModelId, message::Kind};
use thiserror::Error;

use crate::dispatch::{ModelView, View};

/// Longest part of a name that an error repeats, in characters.
const MAX_SHOWN: usize = 128;

/// A model that somebody serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its content.
    pub id: ModelId,
    /// Its name.
    pub name: String,
    /// Numbers in one of its vectors; 0 for a chat model.
    pub dimensions: u32,
}

/// Why there is no such model.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NoModel {
    /// Nobody serves anything.
    #[error("no node is in the swarm right now: start one with starling-node run, or wait until one has joined")]
    NoNode,
    /// Nobody serves one that answers, and none was named.
    #[error("no node in the swarm serves a chat model right now, only embedding models")]
    NoChat,
    /// Those who serve anything are paused.
    #[error("every node is paused at the moment, because its own machine needs it: try again in a few minutes")]
    Paused,
    /// Those who serve this one are.
    #[error("every node that serves {model:?} is paused at the moment: try again in a few minutes; {}", list(*kind, there))]
    Away {
        /// What was asked for.
        model: String,
        /// What it was to do.
        kind: Kind,
        /// What there is for that.
        there: Vec<String>,
    },
    /// An answer was begun by this one, and no other can go on with it.
    #[error("this answer was begun by {model}, which no node serves right now: wait until one does, or ask again")]
    Gone {
        /// Its name at that time.
        model: String,
    },
    /// Nobody serves this one.
    #[error("no node serves a model {asked:?}; {}", list(*kind, there))]
    Unknown {
        /// What was asked for.
        asked: String,
        /// What it was to do.
        kind: Kind,
        /// What there is for that.
        there: Vec<String>,
    },
    /// It is there and does something else.
    #[error("{asked:?} {}; {}", does_not(*kind), list(*kind, there))]
    OtherKind {
        /// What was asked for.
        asked: String,
        /// What it was to do.
        kind: Kind,
        /// What there is for that.
        there: Vec<String>,
    },
}

/// The model of that name that does this; without a name the one that most slots serve. The demo model comes last, but
/// for those that would have to be loaded first.
///
/// # Errors
/// See [`NoModel`]. Never another model than the one asked for.
pub fn choose(view: &View, kind: Kind, name: Option<&str>) -> Result<Choice, NoModel> {
    let of_kind = || view.models.iter().filter(|model| model.kind == kind);
    let there = || of_kind().map(|model| model.name.clone()).collect();
    let away = name.and_then(|name| view.away.iter().find(|model| model.name == name && model.kind == kind));
    if view.models.is_empty() {
        return Err(if view.away.is_empty() { NoModel::NoNode } else { NoModel::Paused });
    }
    if let Some(model) = away {
        return Err(NoModel::Away { model: model.name.clone(), kind, there: there() });
    }
    let Some(name) = name else {
        let best =
            of_kind().min_by_key(|model| (model.nodes == 0, model.demo, std::cmp::Reverse(model.slots), &model.name));
        return best.map(chosen).ok_or(NoModel::NoChat);
    };
    let asked = || name.chars().take(MAX_SHOWN).collect();
    match view.models.iter().find(|model| model.name == name) {
        Some(model) if model.kind == kind => Ok(chosen(model)),
        Some(_) => Err(NoModel::OtherKind { asked: asked(), kind, there: there() }),
        None => Err(NoModel::Unknown { asked: asked(), kind, there: there() }),
    }
}

fn chosen(model: &ModelView) -> Choice {
    Choice { id: model.id, name: model.name.clone(), dimensions: model.dimensions }
}

fn does_not(kind: Kind) -> &'static str {
    match kind {
        Kind::Chat => "makes vectors and does not answer",
        Kind::Embedding => "answers and makes no vectors",
    }
}

fn list(kind: Kind, there: &[String]) -> String {
    let what = match kind {
        Kind::Chat => "chat models",
        Kind::Embedding => "embedding models",
    };
    if there.is_empty() { format!("there are no {what}") } else { format!("{what} there are: {}", there.join(", ")) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn model(name: &str, demo: bool, slots: u32) -> ModelView {
        let id = ModelId::new([u8::try_from(name.len()).unwrap(); 32]);
        let (name, context_tokens, kind, dimensions) = (name.to_owned(), 1024, Kind::Chat, 0);
        let (slots_free, nodes, loaders, loading) = (slots, 1, 0, None);
        ModelView { name, id, context_tokens, demo, kind, dimensions, nodes, slots, slots_free, loaders, loading }
    }

    pub(crate) fn embedding(name: &str, slots: u32) -> ModelView {
        ModelView { kind: Kind::Embedding, dimensions: 384, ..model(name, false, slots) }
    }

    #[track_caller]
    fn check(models: &[ModelView], kind: Kind, name: Option<&str>, expected: Result<&str, &str>) {
        let view = View { models: models.to_vec(), ..View::default() };
        let found = choose(&view, kind, name).map(|choice| choice.name).map_err(|error| error.to_string());
        match expected {
            Ok(name) => assert_eq!(found.as_deref(), Ok(name)),
            Err(part) => assert!(found.as_ref().unwrap_err().contains(part), "{found:?}"),
        }
    }

    #[test]
    fn the_model_asked_for_or_none() {
        let models = [model("demo", true, 9), model("a", false, 1), model("bb", false, 2)];
        check(&models, Kind::Chat, None, Ok("bb"));
        check(&models[..1], Kind::Chat, None, Ok("demo"));
        let away = ModelView { nodes: 0, slots: 0, loaders: 1, ..model("away", false, 0) };
        check(&[away.clone(), models[0].clone()], Kind::Chat, None, Ok("demo"));
        check(&[away.clone(), models[0].clone()], Kind::Chat, Some("away"), Ok("away"));
        check(&[away], Kind::Chat, None, Ok("away"));
        check(&models, Kind::Chat, Some("a"), Ok("a"));
        check(&models, Kind::Chat, Some("A"), Err("there are: demo, a, bb"));
        check(&[], Kind::Chat, Some("a"), Err("no node"));
        check(&[], Kind::Chat, None, Err("no node"));
    }

    #[test]
    fn models_of_paused_nodes_are_away_and_never_chosen() {
        let away = ModelView { nodes: 0, ..model("resting", false, 0) };
        assert_eq!(away.state(), crate::dispatch::ModelState::Away);
        let view = |models: &[ModelView]| View { models: models.to_vec(), away: vec![away.clone()], ..View::default() };
        let found = |models: &[ModelView], name| choose(&view(models), Kind::Chat, name).map(|choice| choice.name);
        assert_eq!(found(&[], None), Err(NoModel::Paused));
        assert_eq!(found(&[], Some("resting")), Err(NoModel::Paused));
        let models = [model("a", false, 1)];
        assert_eq!(found(&models, None).as_deref(), Ok("a"));
        assert!(matches!(found(&models, Some("resting")), Err(NoModel::Away { there, .. }) if there == ["a"]));
        assert!(matches!(found(&models, Some("none")), Err(NoModel::Unknown { .. })));
    }

    #[test]
    fn a_model_is_used_for_what_it_is_for() {
        let models = [model("a", false, 1), embedding("mini", 16), embedding("large", 1)];
        check(&models, Kind::Chat, None, Ok("a"));
        check(&models, Kind::Embedding, Some("mini"), Ok("mini"));
        check(
            &models,
            Kind::Chat,
            Some("mini"),
            Err("\"mini\" makes vectors and does not answer; chat models there are: a"),
        );
        check(
            &models,
            Kind::Embedding,
            Some("a"),
            Err("\"a\" answers and makes no vectors; embedding models there are: mini, large"),
        );
        check(
            &models,
            Kind::Embedding,
            Some("b"),
            Err("no node serves a model \"b\"; embedding models there are: mini"),
        );
        check(&models[..1], Kind::Embedding, Some("a"), Err("there are no embedding models"));
        check(&models[1..], Kind::Chat, None, Err("only embedding models"));
    }
}
