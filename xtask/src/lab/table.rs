//! What is printed of it all.

use std::time::Duration;

use serde_json::{Value, json};

use super::cell::Measured;
use super::plan::{Cell, Gateway, Link, NATS, PUBLIC, Transport};
use super::scenario::Outcome;

/// A node should be usable within this, relayed or not.
const USABLE: Duration = Duration::from_secs(3);
/// A direct path should take a relayed one's place within this.
const UPGRADE: Duration = Duration::from_secs(5);

/// A cell and what it has shown, once for each round.
pub(super) struct Row {
    pub(super) cell: Cell,
    pub(super) rounds: Vec<Measured>,
}

/// The line above the rows.
pub(super) fn head() -> String {
    format!(
        "{:42} {:5} {:8} {:>8} {:>8} {:>8}  {}",
        "cell (gateway-node-transport)", "works", "path", "usable", "direct", "1st tok", "remark"
    )
}

/// One line of the table.
pub(super) fn line(cell: &Cell, measured: &Measured) -> String {
    let works = if measured.works() { "yes" } else { "NO" };
    let path = match (measured.usable, measured.direct) {
        (None, _) => "-",
        (_, Some(_)) => "direct",
        (_, None) if cell.direct_is_expected() => "RELAYED",
        (_, None) => "relayed",
    };
    let times = [measured.usable, measured.direct, measured.first_token()].map(seconds);
    let [usable, direct, first] = times;
    let remark = measured.remark();
    format!("{:42} {works:5} {path:8} {usable:>8} {direct:>8} {first:>8}  {remark}", cell.name()).trim_end().to_owned()
}

fn seconds(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".into(), |time| format!("{:.2} s", time.as_secs_f64()))
}

impl Row {
    fn works(&self) -> bool {
        self.rounds.iter().all(Measured::works)
    }

    fn is_direct(&self) -> bool {
        self.rounds.iter().all(|measured| measured.direct.is_some())
    }

    /// As good as it should be.
    pub(super) fn passes(&self) -> bool {
        self.works() && (self.is_direct() || !self.cell.direct_is_expected())
    }

    /// A word and a time: `1.2 s` for direct after that, `relay`, or what is wrong.
    fn short(&self) -> String {
        let direct: Vec<Duration> = self.rounds.iter().filter_map(|measured| measured.direct).collect();
        match (self.works(), direct.len(), self.rounds.len()) {
            (false, ..) => "**fails**".into(),
            (_, 0, _) => "relay".into(),
            (_, some, all) if some < all => format!("{some} of {all}"),
            _ => format!("{:.1} s", median(direct).as_secs_f64()),
        }
    }
}

/// Gateways down, nodes across, a table for each kind of link: for the README.
pub(super) fn matrix(rows: &[Row]) -> String {
    let mut text = String::new();
    for link in [Link::Clean, Link::Rough] {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.cell.link == link).collect();
        if rows.is_empty() {
            continue;
        }
        text += match link {
            Link::Clean => "\nSeconds until direct (QUIC, TCP)\n\n",
            Link::Rough => "\nThe same with 30 ms and 1 % loss each way\n\n",
        };
        text += &one_matrix(&rows);
    }
    text
}

fn one_matrix(rows: &[&Row]) -> String {
    let names = NATS.map(|nat| nat.name);
    let mut text = format!("| gateway \\ node | {} |\n|{}\n", names.join(" | "), "---|".repeat(names.len() + 1));
    let mut gateways: Vec<&str> = vec![PUBLIC];
    gateways.extend(names.iter().skip(1));
    gateways.push("samenat");
    for gateway in gateways {
        let of_gateway: Vec<&&Row> = rows.iter().filter(|row| row.cell.gateway_name() == gateway).collect();
        if of_gateway.is_empty() {
            continue;
        }
        let cell = |node: &str| {
            let of_both = of_gateway.iter().filter(|row| row.cell.node.name == node);
            // What is asked for with both at once is the same path as one of the two.
            let shown: Vec<String> =
                of_both.filter(|row| row.cell.transport != Transport::Both).map(|row| row.short()).collect();
            if shown.is_empty() { "–".to_owned() } else { shown.join(", ") }
        };
        text += &format!("| {gateway} | {} |\n", names.map(cell).join(" | "));
    }
    text
}

/// How many are as they should be; the last lines of a run.
pub(super) fn counts(rows: &[Row]) -> String {
    let all = || rows.iter().flat_map(|row| row.rounds.iter().map(move |measured| (&row.cell, measured)));
    let count =
        |wanted: &dyn Fn(&Cell, &Measured) -> bool| all().filter(|(cell, measured)| wanted(cell, measured)).count();
    let total = all().count();
    let works = count(&|_, measured| measured.works());
    let expected = count(&|cell, _| cell.direct_is_expected());
    let direct = count(&|cell, measured| cell.direct_is_expected() && measured.direct.is_some());
    let relayed_first = count(&|_, measured| measured.upgrade().is_some());
    let upgraded = count(&|_, measured| measured.upgrade().is_some_and(|took| took <= UPGRADE));
    let usable = count(&|_, measured| measured.usable.is_some_and(|took| took <= USABLE));
    let whole = count(&|_, measured| measured.upgrade().is_some() && measured.works());
    format!(
        "works                     {works} of {total}\n\
         usable within 3 s         {usable} of {total}\n\
         direct where expected     {direct} of {expected}\n\
         upgraded within 5 s       {upgraded} of {relayed_first} that began relayed\n\
         answers whole meanwhile   {whole} of {relayed_first}"
    )
}

/// All figures, for a file.
pub(super) fn json(rows: &[Row], outcomes: &[Outcome]) -> Value {
    let millis = |time: Option<Duration>| time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let round = |measured: &Measured| {
        json!({
            "works": measured.works(),
            "usable_ms": millis(measured.usable),
            "direct_ms": millis(measured.direct),
            "first_token_ms": millis(measured.first_token()),
            "answer": measured.answer,
            "error": measured.error,
        })
    };
    let cells = rows.iter().map(|row| {
        let Cell { gateway, node, transport, link } = row.cell;
        json!({
            "cell": row.cell.name(),
            "gateway": row.cell.gateway_name(),
            "gateway_is_public": gateway == Gateway::Public,
            "node": node.name,
            "transport": transport.name(),
            "rough": link == Link::Rough,
            "direct_expected": row.cell.direct_is_expected(),
            "passes": row.passes(),
            "rounds": row.rounds.iter().map(round).collect::<Vec<_>>(),
        })
    });
    json!({"cells": cells.collect::<Vec<_>>(), "scenarios": outcomes.iter().map(Outcome::json).collect::<Vec<_>>()})
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::plan::{all, nat};
    use super::*;

    fn measured(direct_ms: Option<u64>, exact: bool) -> Measured {
        Measured {
            usable: Some(Duration::from_millis(500)),
            direct: direct_ms.map(Duration::from_millis),
            answer: json!({"exact": exact, "first_ms": 40, "gap_ms": 20}),
            error: None,
        }
    }

    fn row(name: &str, measured: Measured) -> Row {
        let cell = all().into_iter().find(|cell| cell.name() == name).unwrap();
        Row { cell, rounds: vec![measured] }
    }

    #[test]
    fn a_cell_passes_only_with_the_path_it_should_have() {
        assert!(row("fullcone-symmetric-quic", measured(Some(1200), true)).passes());
        assert!(!row("fullcone-symmetric-quic", measured(None, true)).passes());
        assert!(row("symmetric-symmetric-quic", measured(None, true)).passes());
        assert!(!row("symmetric-symmetric-quic", measured(None, false)).passes());
    }

    #[test]
    fn the_lines_and_the_matrix() {
        let rows = [
            row("portrestricted-cgnat-quic", measured(Some(1200), true)),
            row("portrestricted-cgnat-tcp", measured(None, true)),
            row("symmetric-nested-tcp", measured(None, true)),
        ];
        assert!(line(&rows[0].cell, &rows[0].rounds[0]).ends_with("yes   direct     0.50 s   1.20 s   0.04 s"));
        assert!(line(&rows[1].cell, &rows[1].rounds[0]).contains(" RELAYED "));
        let matrix = matrix(&rows);
        let column = NATS.iter().position(|other| *other == nat("cgnat")).unwrap() + 2;
        let home = matrix.lines().find(|line| line.starts_with("| portrestricted")).unwrap();
        assert_eq!(home.split('|').nth(column).unwrap().trim(), "1.2 s, relay");
        assert!(!matrix.contains("| public |"), "{matrix}");
        let counts = counts(&rows);
        assert!(counts.contains("direct where expected     1 of 2\n"), "{counts}");
        assert!(counts.contains("upgraded within 5 s       1 of 1 that"), "{counts}");
    }
}
