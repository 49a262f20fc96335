//! Made-up chats over made-up nodes, the same for every policy: all of it comes from one seed.

/// SplitMix64 (Steele, Lea, Flood, 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Above 0, at most 1.
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Exponentially distributed.
    fn around(&mut self, mean: f64) -> f64 {
        -mean * self.unit().ln()
    }
}

/// One question and its answer.
pub(crate) struct Turn {
    pub(crate) question_tokens: f64,
    pub(crate) answer_tokens: f64,
    /// Between the last answer and this question, in seconds.
    pub(crate) pause: f64,
}

/// A chat begins at `start` seconds.
pub(crate) struct Chat {
    pub(crate) owner: u64,
    pub(crate) start: f64,
    pub(crate) turns: Vec<Turn>,
}

/// A node as it is.
#[derive(Clone, Copy)]
pub(crate) struct Machine {
    pub(crate) name: &'static str,
    pub(crate) prefill: f64,
    pub(crate) decode: f64,
    pub(crate) slots: u32,
    /// What each neighbour in the batch adds to the time of a token.
    pub(crate) neighbour: f64,
    pub(crate) rtt: f64,
    /// How many times too fast it says it is.
    pub(crate) boasts: f64,
    /// Conversations that it keeps besides those in its slots.
    pub(crate) kept: usize,
}

/// From a graphics card to an old laptop; one of the slow ones says that it is a hundred times as fast.
pub(crate) const MACHINES: [Machine; 6] = [
    machine("24 GB card", 3_000.0, 70.0, 4, 0.05, 0.030, 1.0),
    machine("12 GB card", 1_200.0, 40.0, 4, 0.10, 0.060, 1.0),
    machine("8 GB card", 700.0, 30.0, 2, 0.10, 0.020, 1.0),
    machine("desktop", 150.0, 12.0, 2, 0.60, 0.040, 1.0),
    machine("laptop", 80.0, 8.0, 2, 0.70, 0.080, 1.0),
    machine("old laptop", 40.0, 5.0, 2, 0.80, 0.050, 100.0),
];

const fn machine(
    name: &'static str,
    prefill: f64,
    decode: f64,
    slots: u32,
    neighbour: f64,
    rtt: f64,
    boasts: f64,
) -> Machine {
    Machine { name, prefill, decode, slots, neighbour, rtt, boasts, kept: 12 }
}

/// So many chats that begin within `seconds`.
pub(crate) fn chats(seed: u64, count: usize, seconds: f64) -> Vec<Chat> {
    let mut random = Random(seed);
    let chat = |_| {
        let turns = 1 + random.next() % 10;
        let long = random.next().is_multiple_of(4);
        let turn = |index| Turn {
            // One in four begins with something to read.
            question_tokens: if index == 0 && long {
                1_000.0 + random.around(2_000.0)
            } else {
                10.0 + random.around(60.0)
            },
            answer_tokens: (20.0 + random.around(180.0)).min(1_000.0),
            pause: if index == 0 { 0.0 } else { 3.0 + random.around(20.0) },
        };
        let turns = (0..turns).map(turn).collect();
        Chat { owner: random.next() % 40, start: random.unit() * seconds, turns }
    };
    (0..count).map(chat).collect()
}
