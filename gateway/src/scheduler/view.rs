//! The scheduler's state as others may see it.

use std::collections::BTreeMap;

use starling_protocol::{
    ModelId,
    message::{Loadable, Offer},
    swarm::PeerId,
};

use super::{Node, Scheduler, demand::as_offered};
use crate::dispatch::{ModelState, ModelView, NodeView, View};

/// Digits of a hash that tell two models of one name apart.
const HASH_DIGITS: usize = 12;

impl Scheduler {
    /// The swarm as it is now.
    pub(crate) fn view(&self) -> View {
        let all = self.models();
        let names: BTreeMap<ModelId, &str> = all.iter().map(|model| (model.id, model.name.as_str())).collect();
        let nodes = self.nodes.iter().map(|(peer, node)| node.view(*peer, &names)).collect();
        let (away, models) = all.iter().cloned().partition(|model| model.state() == ModelState::Away);
        View { nodes, models, away }
    }

    /// All that are there, and those that come back with their nodes.
    fn models(&self) -> Vec<ModelView> {
        let mut models: BTreeMap<ModelId, ModelView> = BTreeMap::new();
        let here = || self.nodes.values().filter(|node| node.takes_more());
        for offer in here().flat_map(|node| &node.status.offers) {
            let model = models.entry(offer.model).or_insert_with(|| first_sight(offer));
            model.context_tokens = model.context_tokens.max(offer.context_tokens);
            model.nodes += 1;
            model.slots = model.slots.saturating_add(offer.slots);
            model.slots_free = model.slots_free.saturating_add(offer.slots_free);
        }
        for loadable in here().flat_map(|node| &node.status.loadable) {
            let model = models.entry(loadable.model).or_insert_with(|| first_sight(&as_offered(loadable)));
            if model.nodes == 0 {
                model.context_tokens = model.context_tokens.max(loadable.context_tokens);
            }
            model.loaders += 1;
            model.loading = model.loading.max(loadable.loading);
        }
        let paused = || self.nodes.values().filter(|node| node.status.paused.is_some() && !node.drained);
        for offer in paused().flat_map(|node| &node.status.offers) {
            models.entry(offer.model).or_insert_with(|| first_sight(offer));
        }
        for loadable in paused().flat_map(|node| &node.status.loadable) {
            models.entry(loadable.model).or_insert_with(|| first_sight(&as_offered(loadable)));
        }
        let mut models: Vec<ModelView> = models.into_values().collect();
        tell_apart(&mut models);
        models.sort_by(|a, b| a.name.cmp(&b.name));
        models
    }
}

impl Node {
    fn view(&self, peer: PeerId, names: &BTreeMap<ModelId, &str>) -> NodeView {
        let offers = &self.status.offers;
        NodeView {
            peer,
            name: self.status.name.clone(),
            version: self.status.version.clone(),
            device: self.status.device.clone(),
            relayed: self.relayed,
            rtt: self.rtt,
            models: offers.iter().filter_map(|offer| names.get(&offer.model)).map(ToString::to_string).collect(),
            slots: offers.iter().fold(0, |sum, offer| sum.saturating_add(offer.slots)),
            slots_free: offers.iter().fold(0, |sum, offer| sum.saturating_add(offer.slots_free)),
            decode_tokens_per_second: offers.iter().map(|offer| offer.decode_tokens_per_second).fold(0.0, f32::max),
            warning: self.status.warning.clone(),
            gpus: self.status.gpus.clone(),
            ram: self.status.ram,
            network: self.status.network.clone(),
            offers: offers.iter().filter_map(|offer| shown(offer, names)).collect(),
            drained: self.drained,
            paused: self.status.paused,
            loadable: self.status.loadable.iter().filter_map(|one| to_load(one, names)).collect(),
        }
    }
}

/// An offer under the name that people write, without the prefixes, which are for scheduling only.
fn shown(offer: &Offer, names: &BTreeMap<ModelId, &str>) -> Option<Offer> {
    let name = (*names.get(&offer.model)?).to_owned();
    Some(Offer { name, prefixes: vec![], ..offer.clone() })
}

fn to_load(loadable: &Loadable, names: &BTreeMap<ModelId, &str>) -> Option<Loadable> {
    let name = (*names.get(&loadable.model)?).to_owned();
    Some(Loadable { name, ..loadable.clone() })
}

fn first_sight(offer: &Offer) -> ModelView {
    ModelView {
        name: offer.name.clone(),
        id: offer.model,
        context_tokens: 0,
        demo: offer.demo,
        kind: offer.kind,
        dimensions: offer.dimensions,
        nodes: 0,
        slots: 0,
        slots_free: 0,
        loaders: 0,
        loading: None,
    }
}

/// Two files of one name are two models: each of them gets a part of its hash behind the name.
fn tell_apart(models: &mut [ModelView]) {
    let mut count: BTreeMap<String, u32> = BTreeMap::new();
    for model in &*models {
        *count.entry(model.name.clone()).or_default() += 1;
    }
    for model in models.iter_mut().filter(|model| count[&model.name] > 1) {
        let hash = model.id.to_string();
        model.name = format!("{}@{}", model.name, &hash[..HASH_DIGITS]);
    }
}
