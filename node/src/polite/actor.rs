//! The task that yields and comes back: it asks [`State`] what to do and does it.
//!
//! A node that yields goes through what a node goes through that stops (`Stops`): it takes no more jobs, gateways move its
//! answers to other nodes, and what is left after a second is broken off, which gateways continue elsewhere. Then the
//! engines end, and with them their memory is free. The swarm is never left.

use std::time::{Duration, Instant};

use starling_protocol::{message::PauseKind, program::Exit, swarm::Handle};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    Pause, Stage,
    crew::{self, Crew},
    options::{Options, While},
    orders::Order,
    state::{Decision, Reason, State, Yield},
    watch::{Eyes, Looks, gpu::Cards},
};
use crate::{
    Stops,
    engines::{Models, Served},
    hardware::{Hardware, Watcher},
    shelf::Shelf,
};

/// Answers that have not gone over to another node by then are broken off, and go on there.
const HAND_OVER: Duration = Duration::from_secs(1);
/// What the watcher in somebody's session says counts for so long.
const SAID: Duration = Duration::from_secs(5);
/// Before models that could not be loaded are tried again; doubled each time.
const FIRST_RETRY: Duration = Duration::from_secs(5);
const LAST_RETRY: Duration = Duration::from_secs(300);
/// Orders that wait.
const MAX_ORDERS: usize = 16;

/// What yields. Run it once, after [`Polite::begin`].
pub(crate) struct Polite {
    crew: Crew,
    senses: Senses,
    shift: watch::Sender<Stops>,
    shown: watch::Sender<Option<Pause>>,
    /// Those of the node, which end every shift.
    stops: Stops,
}

/// What the rest of a node sees of it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Seen {
    /// The models that are loaded.
    pub(crate) models: watch::Receiver<Models>,
    /// From one pause to the next: what ends when the node yields.
    pub(crate) shift: watch::Receiver<Stops>,
    /// The pause that there is.
    pub(crate) pause: watch::Receiver<Option<Pause>>,
    /// What the owner says.
    pub(crate) orders: mpsc::Sender<Order>,
}

/// Everything that a decision follows from.
struct Senses {
    state: State,
    eyes: Eyes,
    cards: Cards,
    hardware: watch::Receiver<Hardware>,
    orders: mpsc::Receiver<Order>,
    /// The program that runs, for who asks on this machine.
    program: Option<String>,
    full_screen: bool,
    /// The owner has said that it is to come back: what failed is tried again at once.
    hurry: bool,
}

/// What came of loading.
enum Brought {
    Loaded,
    /// There is a reason again.
    Unwanted(Yield),
    Failed(Exit),
}

impl Polite {
    /// Looks once. Spawns nothing but the thread that looks.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) async fn new(
        options: &Options,
        crew: Crew,
        hardware: &Watcher,
        stops: &Stops,
    ) -> Result<(Self, Seen), Exit> {
        let mut eyes = Eyes::open(options).map_err(|error| {
            Exit::failed(format!("cannot start the thread that looks who needs the machine: {error}"))
        })?;
        let looks = eyes.first().await;
        let (orders_in, orders) = mpsc::channel(MAX_ORDERS);
        let mut senses = Senses {
            state: State::new(options.polite, options.come_back_after),
            eyes,
            cards: Cards::new(options),
            hardware: hardware.seen(),
            orders,
            program: None,
            full_screen: options.on_full_screen == While::Yield,
            hurry: false,
        };
        senses.looked(looks);
        let (shift, shown) = (watch::Sender::new(stops.shift()), watch::Sender::new(None));
        let seen =
            Seen { models: crew.models(), shift: shift.subscribe(), pause: shown.subscribe(), orders: orders_in };
        Ok((Self { crew, senses, shift, shown, stops: stops.clone() }, seen))
    }

    /// Loads the models, unless the machine is needed now: then they are loaded later.
    ///
    /// # Errors
    /// When they cannot be.
    pub(crate) async fn begin(&mut self) -> Result<(), Exit> {
        let why = match self.senses.decide() {
            Decision::Yield(why) => why,
            Decision::Serve => match self.bring().await {
                Brought::Loaded => return Ok(()),
                Brought::Unwanted(why) => why,
                Brought::Failed(exit) => return Err(exit),
            },
        };
        info!(reason = super::word(why.kind), "the machine is needed by others: the models are loaded later");
        self.shift.borrow().accepting.cancel();
        self.show(why, Stage::Freed);
        Ok(())
    }

    /// What is loaded at the start; nothing of it may be yet.
    pub(crate) fn crew(&self) -> &Crew {
        &self.crew
    }

    /// Runs until `cancel`. Ends before only when what keeps an engine has failed.
    pub(crate) async fn run(mut self, swarm: Handle, shelf: Shelf, cancel: CancellationToken) {
        let work = async {
            let mut retries = Retries::default();
            let mut retry_at = None;
            loop {
                let stage = self.shown.borrow().as_ref().map(|pause| pause.stage);
                if std::mem::take(&mut self.senses.hurry) {
                    retry_at = None;
                }
                match (self.senses.decide(), stage) {
                    (Decision::Serve, None) => {}
                    (Decision::Yield(why), None) => self.leave(why, &shelf).await,
                    (Decision::Yield(why), Some(Stage::Light)) if why.free => self.free(why, &shelf).await,
                    (Decision::Yield(why), Some(stage)) => {
                        (retry_at, retries) = (None, Retries::default());
                        self.show(why, stage);
                    }
                    (Decision::Serve, Some(Stage::Light)) => self.back(),
                    (Decision::Serve, Some(_)) if self.stops.accepting.is_cancelled() => {}
                    (Decision::Serve, Some(_)) if retry_at.is_some_and(|at| Instant::now() < at) => {}
                    (Decision::Serve, Some(_)) => match self.come_back(&swarm, &shelf).await {
                        Ok(()) => (retry_at, retries) = (None, Retries::default()),
                        Err(exit) => retry_at = Some(self.failed(&exit, retries.next())),
                    },
                }
                let ours = crew::memory(&self.loaded(&shelf));
                tokio::select! {
                    () = self.senses.next(ours) => {}
                    () = wake(retry_at) => {}
                    () = self.crew.broken(), if self.shown.borrow().is_none() => return,
                }
            }
        };
        cancel.run_until_cancelled(work).await;
        self.crew.end().await;
    }

    /// No more jobs from now on; and no memory, where that is wanted.
    async fn leave(&mut self, why: Yield, shelf: &Shelf) {
        info!(reason = super::word(why.kind), frees = why.free, "the machine is needed by others: no more answers");
        self.shift.borrow().accepting.cancel();
        self.show(why, Stage::Light);
        if why.free {
            self.free(why, shelf).await;
        }
    }

    async fn free(&mut self, why: Yield, shelf: &Shelf) {
        let began = Instant::now();
        let models = self.loaded(shelf);
        let idle = async {
            for model in &models {
                let _ = model.engine.load().wait_for(|load| load.running == 0).await;
            }
        };
        let handed_over = timeout(HAND_OVER, idle).await.is_ok();
        drop(models);
        self.shift.borrow().jobs.cancel();
        self.crew.free().await;
        shelf.free().await;
        info!(handed_over, seconds = began.elapsed().as_secs_f32(), "the models' memory is free");
        self.show(why, Stage::Freed);
    }

    /// Loads the models again.
    async fn come_back(&mut self, swarm: &Handle, shelf: &Shelf) -> Result<(), Exit> {
        self.shown.send_modify(|pause| {
            if let Some(pause) = pause {
                (pause.stage, pause.back) = (Stage::Returning, None);
            }
        });
        match self.bring().await {
            Brought::Loaded => {
                let models = self.crew.models().borrow().clone();
                swarm.serve(models.iter().map(|model| model.id).chain(shelf.ids()).collect()).await;
                drop(models);
                self.back();
                Ok(())
            }
            Brought::Unwanted(why) => {
                info!(reason = super::word(why.kind), "the machine is needed again: loading was given up");
                self.show(why, Stage::Freed);
                Ok(())
            }
            Brought::Failed(exit) => Err(exit),
        }
    }

    /// Loads, as long as nobody needs the machine.
    async fn bring(&mut self) -> Brought {
        let Self { crew, senses, .. } = self;
        let needed = async {
            loop {
                if let Decision::Yield(why) = senses.decide() {
                    return why;
                }
                // Of a card that does not say whose its memory is, what is taken now may well be ours.
                senses.next(u64::MAX).await;
            }
        };
        tokio::select! {
            loaded = crew.load() => loaded.map_or_else(Brought::Failed, |()| Brought::Loaded),
            why = needed => Brought::Unwanted(why),
        }
    }

    fn failed(&mut self, exit: &Exit, pause: Duration) -> Instant {
        let problem = match exit {
            Exit::Usage { what, .. } | Exit::Failed(what) => what.clone(),
        };
        warn!(problem, again_in_seconds = pause.as_secs(), "the models could not be loaded again");
        let at = Instant::now() + pause;
        self.shown.send_modify(|shown| {
            if let Some(shown) = shown {
                (shown.stage, shown.back, shown.trouble) = (Stage::Freed, Some(at), problem);
            }
        });
        at
    }

    /// The next shift begins.
    fn back(&mut self) {
        info!("back: ready for answers");
        self.shift.send_replace(self.stops.shift());
        self.shown.send_replace(None);
    }

    fn show(&self, why: Yield, stage: Stage) {
        let program = self.senses.program.clone().filter(|_| why.kind == PauseKind::Process);
        let pause = Pause { kind: why.kind, back: why.back, program, stage, trouble: String::new() };
        self.shown.send_if_modified(|shown| {
            let news = shown.as_ref() != Some(&pause);
            *shown = Some(pause);
            news
        });
    }

    fn loaded(&self, shelf: &Shelf) -> Vec<Served> {
        self.crew.models().borrow().iter().cloned().chain(shelf.served()).collect()
    }
}

impl Senses {
    fn decide(&mut self) -> Decision {
        self.state.decide(Instant::now())
    }

    /// Waits for anything after which to decide again. `ours` is the memory that the engines have. Cancel safe.
    async fn next(&mut self, ours: u64) {
        let wakes_at = self.state.wakes_at();
        tokio::select! {
            looks = self.eyes.next() => self.looked(looks),
            Some(order) = self.orders.recv() => self.told(order),
            Ok(()) = self.hardware.changed() => self.measured(ours),
            () = wake(wakes_at) => {}
        }
    }

    fn looked(&mut self, looks: Looks) {
        let (now, lasts) = (Instant::now(), |is: bool| is.then_some(Reason::Lasts(None)));
        self.state.see(PauseKind::Process, lasts(looks.process.is_some()), now);
        self.state.see(PauseKind::Battery, lasts(looks.battery), now);
        self.state.see(PauseKind::Schedule, looks.closed.map(Reason::Lasts), now);
        self.program = looks.process.or(self.program.take());
    }

    fn measured(&mut self, ours: u64) {
        let now = Instant::now();
        let trouble = self.cards.see(&self.hardware.borrow_and_update(), ours, now);
        let lasts = |is: bool| is.then_some(Reason::Lasts(None));
        self.state.see(PauseKind::Temperature, lasts(trouble.warm), now);
        self.state.see(PauseKind::Gpu, lasts(trouble.others), now);
    }

    fn told(&mut self, order: Order) {
        let now = Instant::now();
        match order {
            Order::Pause { seconds } => {
                let until = seconds.map(|seconds| now + Duration::from_secs(u64::from(seconds)));
                let reason = until.map_or(Reason::Lasts(None), Reason::Expires);
                self.state.see(PauseKind::ByHand, Some(reason), now);
            }
            Order::Resume => {
                self.state.resume(now);
                self.hurry = true;
            }
            Order::FullScreen if self.full_screen => {
                self.state.see(PauseKind::FullScreen, Some(Reason::Expires(now + SAID)), now);
            }
            Order::FullScreen => {}
        }
    }
}

/// How long to wait for the next try.
#[derive(Default)]
struct Retries(Option<Duration>);

impl Retries {
    fn next(&mut self) -> Duration {
        let pause = self.0.map_or(FIRST_RETRY, |last| (last * 2).min(LAST_RETRY));
        self.0 = Some(pause);
        pause
    }
}

async fn wake(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_further_and_further_apart_up_to_a_bound() {
        let mut retries = Retries::default();
        let pauses: Vec<u64> = (0..9).map(|_| retries.next().as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
    }

    /// The test of an engine takes the card.
    #[cfg(target_os = "linux")]
    mod tests_of_engines {
        use std::{os::unix::fs::PermissionsExt, path::Path};

        use starling_inference::{
            DeviceChoice, Source,
            tensorrt::{Options as Engines, Precision, choice::Found},
        };
        use tempfile::TempDir;

        use super::*;
        use crate::{
            engines::Apart,
            polite::options::Level,
            tensorrt::{self, Wish},
        };

        const LIMIT: Duration = Duration::from_secs(60);

        /// A node with an engine to test, and a program of ours that tests it as `script` says.
        async fn node(folder: &TempDir, options: &Options, script: &str) -> (Polite, Seen) {
            let data = folder.path();
            program(folder, script);
            let engines = Engines {
                library: tensorrt::folder(data),
                engines: tensorrt::engines(data),
                precision: Precision::Fp16,
                workspace: 1 << 30,
                share: 85,
            };
            for folder in [&engines.library, &engines.engines] {
                std::fs::create_dir_all(folder).unwrap();
            }
            std::fs::write(engines.library.join(starling_inference::tensorrt::FILE), "a library").unwrap();
            std::fs::write(engines.engines.join("x.engine"), "an engine").unwrap();
            let source = Source::Gguf {
                path: Path::new(env!("CARGO_MANIFEST_DIR")).join("../inference/models/stories260K.gguf"),
                context_tokens: None,
                slots: None,
                threads: None,
                saved_bytes: None,
                hashes: None,
                device: DeviceChoice::Auto,
            };
            let wish = Wish { by_name: false, precision: None, options: engines };
            let apart = Apart { program: Some(data.join("node")), scripted: false };
            let crew = Crew::new(vec![source], Some(wish), apart);
            Polite::new(options, crew, &Watcher::start().unwrap(), &Stops::default()).await.unwrap()
        }

        fn program(folder: &TempDir, script: &str) {
            let path = folder.path().join("new");
            let script = format!("#!/bin/sh\ncd {}\n{script}\n", folder.path().display());
            std::fs::write(&path, script).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
            std::fs::rename(path, folder.path().join("node")).unwrap();
        }

        async fn until(so: impl Fn() -> bool) {
            let seen = async {
                while !so() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(LIMIT, seen).await.unwrap();
        }

        fn reason(seen: &Seen) -> Option<(PauseKind, Stage)> {
            seen.pause.borrow().as_ref().map(|pause| (pause.kind, pause.stage))
        }

        #[tokio::test]
        async fn who_needs_the_machine_is_asked_before_an_engine_is_tested() {
            let folder = tempfile::tempdir().unwrap();
            let own = std::env::current_exe().unwrap().file_name().unwrap().to_string_lossy().into_owned();
            let options = Options { polite: Level::Full, yield_to: vec![own.parse().unwrap()], ..Options::default() };
            let (mut polite, seen) = node(&folder, &options, "echo $$ > tested").await;
            polite.begin().await.unwrap();
            assert_eq!(reason(&seen), Some((PauseKind::Process, Stage::Freed)));
            assert!(!folder.path().join("tested").exists() && polite.crew().decided().borrow().is_empty());
        }

        #[tokio::test]
        async fn a_test_that_runs_is_given_up_and_made_when_the_machine_is_free() {
            let folder = tempfile::tempdir().unwrap();
            let script = "read order; echo $$ > new; mv new tested; exec sleep 600";
            let (mut polite, seen) = node(&folder, &Options::default(), script).await;
            let tested = folder.path().join("tested");
            let ordered = async {
                until(|| tested.exists()).await;
                seen.orders.send(Order::Pause { seconds: None }).await.unwrap();
            };
            let (begun, ()) = tokio::join!(polite.begin(), ordered);
            begun.unwrap();
            assert_eq!(reason(&seen), Some((PauseKind::ByHand, Stage::Freed)));
            // The card is theirs: of a process that was ended no words are left.
            let pid = std::fs::read_to_string(&tested).unwrap();
            let words = format!("/proc/{}/cmdline", pid.trim());
            until(|| std::fs::read(&words).map_or(true, |words| words.is_empty())).await;
            assert!(polite.crew().decided().borrow().is_empty());
            let found = serde_json::json!({"Found": Found::NoCard("there is no card any more".into())});
            program(&folder, &format!("read order; echo '{found}'"));
            polite.senses.told(Order::Resume);
            let mut decided = polite.crew().decided();
            let told = async {
                tokio::select! {
                    _ = polite.bring() => {}
                    told = decided.changed() => told.unwrap(),
                }
            };
            timeout(LIMIT, told).await.unwrap();
            assert_eq!(decided.borrow()[0].engine, "llama.cpp: there is no card any more");
        }
    }
}
