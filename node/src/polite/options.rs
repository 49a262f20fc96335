//! How polite a node is, as its owner says it: flags, and the same names in the configuration file.

use std::time::Duration;

use clap::{Args, ValueEnum};
use starling_protocol::program::parse_span;

use super::watch::{process::ProgramName, schedule::Hours};

/// How long a reason has to be gone before the models are loaded again.
const COME_BACK_AFTER: Duration = Duration::from_secs(30);
/// Hundredths of a card.
const GPU_USE: u32 = 40;
const GPU_MEMORY: u32 = 50;

/// What a node does for whoever sits at its machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Nothing by itself; only starling-node pause counts.
    #[default]
    Off,
    /// It takes no more answers while somebody needs the machine, and computes at a low priority. Models stay in memory.
    Light,
    /// It also frees the memory, and the graphics card's, and loads its models again when it comes back.
    Full,
}

/// What to do while something is so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum While {
    /// Leave the machine to others.
    #[default]
    Yield,
    /// Compute on.
    Serve,
}

/// The flags.
#[derive(Args, Clone, Debug)]
#[group(id = "politeness")]
pub struct Options {
    /// How the node treats whoever sits at this machine: off, light (takes no more answers while they need it) or full
    /// (frees the memory too). The service is installed with full; a node in a terminal is somebody's wish, and is off.
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Level::Off)]
    pub polite: Level,
    /// With --polite, program during which the node yields, by its name without a path, such as game.exe; may be repeated.
    #[arg(long, value_name = "PROGRAM")]
    pub yield_to: Vec<ProgramName>,
    /// With --polite, the hours in which the node computes, in local time, such as 22:00-07:00; may be repeated
    /// [default: always].
    #[arg(long, value_name = "FROM-TO")]
    pub hours: Vec<Hours>,
    /// With --polite, what to do while a full-screen program runs (seen on Windows, by starling-node desktop).
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = While::Yield)]
    pub on_full_screen: While,
    /// With --polite, what to do while the machine runs on its battery.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = While::Yield)]
    pub on_battery: While,
    /// With --polite, degrees Celsius of a graphics card from which on the node yields [default: 83, or 5 below what the
    /// card itself slows down at].
    #[arg(long, value_name = "DEGREES", value_parser = clap::value_parser!(u32).range(40..=120))]
    pub gpu_temperature: Option<u32>,
    /// With --polite, hundredths of an NVIDIA card's time which others may use before the node yields; 100 is never.
    #[arg(long, value_name = "PERCENT", default_value_t = GPU_USE,
        value_parser = clap::value_parser!(u32).range(1..=100))]
    pub gpu_others: u32,
    /// With --polite, hundredths of an NVIDIA card's memory which others may have before the node yields; 100 is never.
    #[arg(long, value_name = "PERCENT", default_value_t = GPU_MEMORY,
        value_parser = clap::value_parser!(u32).range(1..=100))]
    pub gpu_memory_others: u32,
    /// How long a reason has to be gone before the node comes back: a number and s, m, h or d.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_span)]
    pub come_back_after: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            polite: Level::Off,
            yield_to: vec![],
            hours: vec![],
            on_full_screen: While::Yield,
            on_battery: While::Yield,
            gpu_temperature: None,
            gpu_others: GPU_USE,
            gpu_memory_others: GPU_MEMORY,
            come_back_after: COME_BACK_AFTER,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        polite: Options,
    }

    fn parse(flags: &[&str]) -> Result<Options, String> {
        let flags = ["node"].iter().chain(flags);
        Cli::try_parse_from(flags).map(|cli| cli.polite).map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_the_same_with_and_without_flags() {
        assert_eq!(format!("{:?}", parse(&[]).unwrap()), format!("{:?}", Options::default()));
    }

    #[test]
    fn bad_input_is_refused_in_words() {
        for (flags, said) in [
            (["--polite", "very"], "off, light, full"),
            (["--yield-to", "C:\\Games\\game.exe"], "without a path"),
            (["--yield-to", " "], "without a path"),
            (["--hours", "22-7"], "such as 22:00-07:00"),
            (["--hours", "22:00-22:00"], "begins and ends at the same time"),
            (["--hours", "22:00-25:00"], "such as 22:00-07:00"),
            (["--gpu-temperature", "20"], "40..=120"),
            (["--gpu-others", "0"], "1..=100"),
            (["--on-battery", "maybe"], "yield, serve"),
            (["--come-back-after", "soon"], "a number and s, m, h or d"),
        ] {
            let error = parse(&flags).unwrap_err();
            assert!(error.contains(said), "{flags:?}: {error}");
        }
        let good = parse(&["--polite", "full", "--hours", "22:00-07:00", "--hours", "12:00-13:30"]).unwrap();
        assert_eq!((good.polite, good.hours.len()), (Level::Full, 2));
    }
}
