//! Cuts a step into pieces that fit into a frame.

use std::sync::Arc;

use super::facts::{Card, Step};

/// What the cards of one piece may weigh: as bytes of JSON, and rather too much than too little.
pub(super) const MAX_WEIGHT: usize = 48 << 10;

/// Pieces that lead to the same together, in this order. Events come last, when everybody they name is known.
pub(super) fn cut(step: Arc<Step>) -> Vec<Arc<Step>> {
    let weights = step.cards.iter().map(|(_, card)| weight(card));
    if weights.sum::<usize>() <= MAX_WEIGHT {
        return vec![step];
    }
    let mut last = Arc::unwrap_or_clone(step);
    let (mut pieces, mut sum) = (vec![], 0);
    let mut cards = vec![];
    for (id, card) in std::mem::take(&mut last.cards) {
        sum += weight(&card);
        if sum > MAX_WEIGHT && !cards.is_empty() {
            pieces.push(of_cards(&last, std::mem::take(&mut cards)));
            sum = weight(&card);
        }
        cards.push((id, card));
    }
    pieces.push(of_cards(&last, cards));
    pieces.push(Arc::new(last));
    pieces
}

fn of_cards(step: &Step, cards: Vec<(u32, Arc<Card>)>) -> Arc<Step> {
    Arc::new(Step { at: step.at, cards, gone: vec![], pulses: vec![], events: vec![], totals: step.totals })
}

/// A control character takes six bytes in JSON.
fn weight(card: &Card) -> usize {
    let models: usize = card.models.iter().map(|model| model.len() + 3).sum();
    256 + 6 * (card.name.len() + card.gpu.len() + card.version.len() + models)
}
