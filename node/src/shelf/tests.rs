//! Scripted engines that take their time to load, in this process.

use starling_inference::{Message, Request, Role};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

struct Fixture {
    shelf: Shelf,
    _stop: DropGuard,
}

/// A shelf of models of so many options, with room for so many MiB.
fn shelf(options: &[&str], limit_mb: u64, keep_loaded: Duration) -> Fixture {
    let sources = options.iter().map(|options| Source::Scripted(options.parse().unwrap())).collect();
    let on_demand = OnDemand { sources, keep_loaded, limit_bytes: Some(limit_mb << 20), ..OnDemand::default() };
    let (shelf, loader) = Shelf::new(on_demand, Apart::default(), &[], Arc::new(|| u64::MAX));
    let stop = CancellationToken::new();
    tokio::spawn(loader.run(tokio::sync::watch::Sender::new(crate::Stops::default()).subscribe(), stop.clone()));
    Fixture { shelf, _stop: stop.drop_guard() }
}

impl Fixture {
    fn id(&self, options: &str) -> ModelId {
        ModelId::new(describe(&Source::Scripted(options.parse().unwrap())).unwrap().id)
    }

    /// Wants a model, and waits until it is there or is not going to be. Every stage that was seen meanwhile.
    async fn get(&self, options: &str) -> (Result<(Served, Use), Refusal>, Vec<u32>) {
        let Coming { mut stage, right } = match self.shelf.want(self.id(options)).unwrap() {
            Ok(coming) => coming,
            Err(refusal) => return (Err(refusal), vec![]),
        };
        let mut seen = vec![];
        let over = async {
            loop {
                let now = stage.borrow_and_update().clone();
                match now {
                    Stage::Loading(permille) => seen.push(permille),
                    Stage::Here(served) => return Ok(served),
                    Stage::Away(why) => return Err(Refusal::NotLoaded(why)),
                }
                stage.changed().await.unwrap();
            }
        };
        let over = timeout(PATIENCE, over).await.expect("the load never ends");
        (over.map(|served| (served, right)), seen)
    }

    async fn becomes(&self, what: &str, is: impl Fn(&Shelf) -> bool) {
        let mut changes = self.shelf.changes();
        let wait = async {
            while !is(&self.shelf) {
                changes.changed().await.unwrap();
            }
        };
        timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never {what}"));
    }

    fn loaded(&self) -> Vec<ModelId> {
        let mut loaded: Vec<_> = self.shelf.served().iter().map(|served| served.id).collect();
        loaded.sort();
        loaded
    }
}

const ONE: &str = "seed=1,load_seconds=0.3,memory_mb=10,tokens_per_second=0";
const TWO: &str = "seed=2,load_seconds=0.05,memory_mb=10";
const THREE: &str = "seed=3,load_seconds=0.05,memory_mb=10";

#[tokio::test]
async fn a_model_comes_with_progress_and_answers() {
    let fixture = shelf(&[ONE], 100, PATIENCE);
    let waits = fixture.shelf.loadable();
    assert_eq!((waits[0].bytes, waits[0].loading, waits[0].seconds), (10 << 20, None, 1));
    let (one, other) = tokio::join!(fixture.get(ONE), fixture.get(ONE));
    let ((Ok((served, _right)), seen), (Ok((same, _)), _)) = (one, other) else { panic!("not loaded") };
    assert!(seen.len() > 3 && seen.is_sorted() && seen[0] == 0, "{seen:?}");
    assert!(std::ptr::eq(served.engine.info(), same.engine.info()), "loaded once for both");
    assert_eq!((fixture.loaded(), fixture.shelf.loadable().len()), (vec![served.id], 0));
    let request = Request { messages: vec![Message::new(Role::User, "hello")], ..Request::default() };
    let mut generation = served.engine.generate(request).await.unwrap();
    while generation.next().await.is_some_and(|output| !output.is_end()) {}
}

#[tokio::test]
async fn the_least_recently_used_makes_room_and_its_engine_ends() {
    let fixture = shelf(&[ONE, TWO, THREE], 20, PATIENCE);
    let (one, two) = (fixture.get(ONE).await.0.ok().unwrap(), fixture.get(TWO).await.0.ok().unwrap());
    assert!(matches!(fixture.get(THREE).await.0, Err(Refusal::Busy)), "both are used");
    let mut load = two.0.engine.load();
    drop(two);
    let three = fixture.get(THREE).await.0.ok().unwrap();
    let mut left = vec![fixture.id(ONE), fixture.id(THREE)];
    left.sort();
    assert_eq!(fixture.loaded(), left);
    let ended = async { while load.changed().await.is_ok() {} };
    timeout(PATIENCE, ended).await.expect("an engine that was unloaded lives on");
    drop((one, three));
}

#[tokio::test]
async fn what_nobody_uses_goes_and_comes_again() {
    let fixture = shelf(&[TWO], 100, Duration::from_millis(10));
    let (served, right) = fixture.get(TWO).await.0.ok().unwrap();
    drop(served);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(fixture.loaded().len(), 1, "it is used");
    drop(right);
    fixture.becomes("unloaded", |shelf| shelf.served().is_empty()).await;
    assert_eq!(fixture.shelf.loadable().len(), 1);
    fixture.get(TWO).await.0.ok().unwrap();
}

#[tokio::test]
async fn a_load_that_fails_says_why_and_is_tried_again_when_it_is_wanted_again() {
    for (fault, why) in [("memory", LoadFailure::Memory), ("file", LoadFailure::File)] {
        let options = format!("seed=4,load_seconds=0.1,load_fault={fault}");
        let fixture = shelf(&[&options], 100, PATIENCE);
        for _ in 0..2 {
            let (got, _) = fixture.get(&options).await;
            assert!(matches!(got, Err(Refusal::NotLoaded(reason)) if reason == why), "{fault}");
        }
        let shown = &fixture.shelf.loadable()[0];
        assert!(!shown.trouble.is_empty() && shown.loading.is_none(), "{shown:?}");
    }
    let large = "seed=5,memory_mb=11";
    let fixture = shelf(&[large], 10, PATIENCE);
    assert!(matches!(fixture.get(large).await.0, Err(Refusal::NotLoaded(LoadFailure::Memory))));
    assert!(fixture.shelf.want(ModelId::new([9; 32])).is_none());
}

#[tokio::test]
async fn an_engine_that_finds_no_memory_gets_that_of_an_idle_one() {
    let short = "seed=6,load_seconds=0.05,load_fault=memory,memory_mb=10";
    let fixture = shelf(&[ONE, short], 100, PATIENCE);
    drop(fixture.get(ONE).await.0.ok().unwrap());
    assert!(fixture.get(short).await.0.is_err(), "it has no luck all the same");
    assert_eq!(fixture.loaded(), [], "but the idle one went for it");
}
