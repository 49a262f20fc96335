//! Which model a request means, among those that the swarm serves now.

use starling_protocol::ModelId;
use thiserror::Error;

use crate::dispatch::{ModelView, View};

/// A model that somebody serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its content.
    pub id: ModelId,
    /// Its name.
    pub name: String,
}

/// Why there is no such model.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NoModel {
    /// Nobody serves anything.
    #[error("no node is in the swarm right now: start one with starling-node run, or wait until one has joined")]
    NoNode,
    /// Nobody serves this one.
    #[error("no node serves a model {asked:?}; there are: {}", there.join(", "))]
    Unknown {
        /// What was asked for.
        asked: String,
        /// What there is.
        there: Vec<String>,
    },
}

/// The model of that name; without a name the one that most slots serve. The demo model comes last.
///
/// # Errors
/// See [`NoModel`]. Never another model than the one asked for.
pub fn choose(view: &View, name: Option<&str>) -> Result<Choice, NoModel> {
    let found = match name {
        Some(name) => view.models.iter().find(|model| model.name == name),
        None => view.models.iter().min_by_key(|model| (model.demo, std::cmp::Reverse(model.slots), &model.name)),
    };
    match (found, name) {
        (Some(ModelView { id, name, .. }), _) => Ok(Choice { id: *id, name: name.clone() }),
        (None, Some(asked)) if !view.models.is_empty() => Err(NoModel::Unknown {
            asked: asked.chars().take(128).collect(),
            there: view.models.iter().map(|model| model.name.clone()).collect(),
        }),
        (None, _) => Err(NoModel::NoNode),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn model(name: &str, demo: bool, slots: u32) -> ModelView {
        let id = ModelId::new([u8::try_from(name.len()).unwrap(); 32]);
        ModelView { name: name.into(), id, context_tokens: 1024, demo, nodes: 1, slots, slots_free: slots }
    }

    #[track_caller]
    fn check(models: &[ModelView], name: Option<&str>, expected: Result<&str, &str>) {
        let view = View { nodes: vec![], models: models.to_vec() };
        let found = choose(&view, name).map(|choice| choice.name).map_err(|error| error.to_string());
        match expected {
            Ok(name) => assert_eq!(found.as_deref(), Ok(name)),
            Err(part) => assert!(found.unwrap_err().contains(part)),
        }
    }

    #[test]
    fn the_model_asked_for_or_none() {
        let models = [model("demo", true, 9), model("a", false, 1), model("bb", false, 2)];
        check(&models, None, Ok("bb"));
        check(&models[..1], None, Ok("demo"));
        check(&models, Some("a"), Ok("a"));
        check(&models, Some("A"), Err("there are: demo, a, bb"));
        check(&[], Some("a"), Err("no node"));
        check(&[], None, Err("no node"));
    }
}
