//! Figures by row, for Plume and for the floor, over all rounds: a table for people, one line of JSON for
//! programs.

use crate::target::Kind;
use serde_json::json;
use std::fmt::Write as _;

/// All figures.
#[derive(Default)]
pub(crate) struct Sheet {
    rows: Vec<Row>,
}

struct Row {
    what: &'static str,
    unit: &'static str,
    /// Members in the room; zero where that does not matter.
    members: usize,
    plume: Vec<f64>,
    floor: Vec<f64>,
}

impl Sheet {
    /// Adds the figure of one round.
    pub(crate) fn note(
        &mut self,
        kind: Kind,
        members: usize,
        what: &'static str,
        unit: &'static str,
        figure: f64,
    ) {
        let is_it = |row: &Row| row.what == what && row.members == members;
        let place = self.rows.iter().position(is_it).unwrap_or_else(|| {
            self.rows.push(Row { what, unit, members, plume: Vec::new(), floor: Vec::new() });
            self.rows.len() - 1
        });
        let row = &mut self.rows[place];
        match kind {
            Kind::Plume => row.plume.push(figure),
            Kind::Floor => row.floor.push(figure),
        }
    }

    /// The newest figure of a row.
    pub(crate) fn newest(&self, kind: Kind, members: usize, what: &str) -> Option<f64> {
        let row = self.rows.iter().find(|row| row.what == what && row.members == members)?;
        let figures = match kind {
            Kind::Plume => &row.plume,
            Kind::Floor => &row.floor,
        };
        figures.last().copied()
    }

    /// Medians over the rounds, and the median of the rounds' ratios.
    pub(crate) fn table(&self) -> String {
        let mut table = format!(
            "{:>8}  {:<34} {:<14} {:>14} {:>14} {:>7}\n",
            "members", "", "", "plume", "floor", "ratio"
        );
        for row in &self.rows {
            let members = if row.members == 0 { String::new() } else { row.members.to_string() };
            let [plume, floor, ratio] = row.medians().map(|figure| figure.map_or_else(String::new, shown));
            let (what, unit) = (row.what, row.unit);
            let _ = writeln!(table, "{members:>8}  {what:<34} {unit:<14} {plume:>14} {floor:>14} {ratio:>7}");
        }
        table
    }

    /// The same in one line.
    pub(crate) fn json(&self) -> String {
        let rows = self.rows.iter().map(|row| {
            let [plume, floor, ratio] = row.medians();
            let (what, unit, members) = (row.what, row.unit, row.members);
            json!({"what": what, "unit": unit, "members": members, "plume": plume, "floor": floor, "ratio": ratio})
        });
        json!({"bench": "load", "rows": rows.collect::<Vec<_>>()}).to_string()
    }
}

impl Row {
    fn medians(&self) -> [Option<f64>; 3] {
        let ratios = self.plume.iter().zip(&self.floor).filter(|&(_, &floor)| floor > 0.0);
        let ratios: Vec<f64> = ratios.map(|(plume, floor)| plume / floor).collect();
        [median(&self.plume), median(&self.floor), median(&ratios)]
    }
}

fn median(figures: &[f64]) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// A figure with as many digits as say something.
fn shown(figure: f64) -> String {
    match figure {
        figure if figure >= 100.0 => format!("{figure:.0}"),
        figure if figure >= 1.0 => format!("{figure:.2}"),
        figure => format!("{figure:.3}"),
    }
}
