//! Which embedding model reads what is remembered. Another model means that everything is read anew, so a model that is
//! gone for a moment is waited for. Without a clock.

use std::time::Duration;

use starling_protocol::{ModelId, message::Kind};
use tokio::time::Instant;

use crate::{
    choice::{Choice, choose},
    dispatch::View,
};

/// How long a model that nobody serves any more is waited for before another one takes over: longer than a node takes
/// to be started again.
const PATIENCE: Duration = Duration::from_secs(600);

/// Chooses, and stays with what it chose.
pub(super) struct Chooser {
    /// The one that the operator has named.
    named: Option<String>,
    /// The one that the most was read with.
    present: Option<ModelId>,
    /// Since when nobody serves it.
    gone: Option<Instant>,
}

impl Chooser {
    pub(super) fn new(named: Option<String>, present: Option<ModelId>) -> Self {
        Self { named, present, gone: None }
    }

    /// The model to use now; `None` is to wait.
    pub(super) fn choose(&mut self, view: &View, now: Instant) -> Option<Choice> {
        if let Some(name) = &self.named {
            return choose(view, Kind::Embedding, Some(name)).ok();
        }
        let served = |id| view.models.iter().find(|model| model.kind == Kind::Embedding && model.id == id);
        if let Some(model) = self.present.and_then(served) {
            self.gone = None;
            return choose(view, Kind::Embedding, Some(&model.name)).ok();
        }
        if self.present.is_some() && now < *self.gone.get_or_insert(now) + PATIENCE {
            return None;
        }
        let first = choose(view, Kind::Embedding, None).ok()?;
        (self.present, self.gone) = (Some(first.id), None);
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::tests::{embedding, model};

    fn view(names: &[&str]) -> View {
        let models = names.iter().map(|name| embedding(name, 1)).chain([model("a chat model", false, 4)]).collect();
        View { models, ..View::default() }
    }

    fn id(name: &str) -> ModelId {
        embedding(name, 1).id
    }

    fn chosen(chooser: &mut Chooser, names: &[&str], now: Instant) -> Option<String> {
        chooser.choose(&view(names), now).map(|choice| choice.name)
    }

    #[test]
    fn the_one_that_is_named_or_none() {
        let (mut chooser, now) = (Chooser::new(Some("big".into()), Some(id("mini"))), Instant::now());
        assert_eq!(chosen(&mut chooser, &["mini"], now), None);
        assert_eq!(chosen(&mut chooser, &["mini", "big"], now).as_deref(), Some("big"));
    }

    #[test]
    fn the_one_that_has_read_the_most_goes_before_others() {
        let (mut chooser, now) = (Chooser::new(None, Some(id("large"))), Instant::now());
        assert_eq!(chosen(&mut chooser, &["mini", "large"], now).as_deref(), Some("large"));
        let mut fresh = Chooser::new(None, None);
        assert_eq!(chosen(&mut fresh, &[], now), None, "a chat model is none");
        assert_eq!(chosen(&mut fresh, &["mini"], now).as_deref(), Some("mini"));
        assert_eq!(chosen(&mut fresh, &["a", "mini"], now).as_deref(), Some("mini"), "it stays with it");
    }

    #[test]
    fn one_that_is_away_for_a_moment_is_waited_for() {
        let (mut chooser, start) = (Chooser::new(None, Some(id("mini"))), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(chosen(&mut chooser, &["large"], at(0)), None);
        assert_eq!(chosen(&mut chooser, &["large"], at(599)), None);
        assert_eq!(chosen(&mut chooser, &["large", "mini"], at(600)).as_deref(), Some("mini"));
        assert_eq!(chosen(&mut chooser, &["large"], at(700)), None, "it is waited for anew");
        assert_eq!(chosen(&mut chooser, &["large"], at(1_300)).as_deref(), Some("large"));
        assert_eq!(chosen(&mut chooser, &["large", "mini"], at(1_301)).as_deref(), Some("large"));
    }
}
