//! Collects the figures of all runs of one scenario and writes them as a Markdown table:
//! the median of each, and how it relates to the baseline's median.

use std::fmt::Write as _;

/// One figure of one run.
#[derive(Clone)]
pub struct Metric {
    name: &'static str,
    value: f64,
    decimals: usize,
    compared: bool,
}

impl Metric {
    /// A figure that also gets a column with its ratio to the baseline.
    pub fn compared(name: &'static str, value: f64, decimals: usize) -> Self {
        Self { name, value, decimals, compared: true }
    }

    pub fn plain(name: &'static str, value: f64, decimals: usize) -> Self {
        Self { compared: false, ..Self::compared(name, value, decimals) }
    }
}

/// One line for the progress output.
pub fn one_line(metrics: &[Metric]) -> String {
    let figures =
        metrics.iter().map(|metric| format!("{} {}", grouped(metric.value, metric.decimals), metric.name));
    figures.collect::<Vec<_>>().join(", ")
}

/// All runs of one scenario.
pub struct Table {
    title: String,
    /// The row that the others are compared with.
    baseline: &'static str,
    runs: Vec<(&'static str, Vec<Metric>)>,
}

impl Table {
    pub fn new(title: String, baseline: &'static str) -> Self {
        let runs = Vec::new();
        Self { title, baseline, runs }
    }

    pub fn add(&mut self, name: &'static str, metrics: Vec<Metric>) {
        self.runs.push((name, metrics));
    }

    /// The table with one row for each of `names` that was run, in that order. Its columns are those
    /// of the run with the most figures.
    pub fn markdown(&self, names: &[&'static str]) -> String {
        let mut text = format!("### {}\n\n", self.title);
        let Some((_, columns)) = self.runs.iter().rev().max_by_key(|(_, metrics)| metrics.len()) else {
            return text + "Nothing was run.\n";
        };
        let (mut head, mut line) = ("| server |".to_owned(), "| --- |".to_owned());
        for column in columns {
            head += &format!(" {} |", column.name);
            line += " ---: |";
            if column.compared {
                head += &format!(" × {} |", self.baseline);
                line += " ---: |";
            }
        }
        _ = writeln!(text, "{head}\n{line}");
        for name in names {
            _ = writeln!(text, "{}", self.row(name, columns));
        }
        text
    }

    fn row(&self, name: &str, columns: &[Metric]) -> String {
        let mut row = format!("| {name} |");
        for (index, column) in columns.iter().enumerate() {
            let value = self.median(name, index);
            row += &match value {
                Some(value) => format!(" {} |", grouped(value, column.decimals)),
                None => " – |".to_owned(),
            };
            if column.compared {
                row += &match (value, self.median(self.baseline, index)) {
                    (Some(value), Some(raw)) if raw != 0.0 => format!(" {:.2} |", value / raw),
                    _ => " – |".to_owned(),
                };
            }
        }
        row
    }

    fn median(&self, name: &str, index: usize) -> Option<f64> {
        let runs = self.runs.iter().filter(|(of, _)| *of == name);
        let mut values: Vec<f64> =
            runs.filter_map(|(_, metrics)| metrics.get(index)).map(|metric| metric.value).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() {
            0 => None,
            even if even % 2 == 0 => Some((values[middle - 1] + values[middle]) / 2.0),
            _ => Some(values[middle]),
        }
    }
}

/// A number with a comma before every three digits.
fn grouped(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let digits = text.find('.').unwrap_or(text.len());
    let mut grouped = String::new();
    for (at, digit) in text.char_indices() {
        let left = digits.saturating_sub(at);
        if at > 0 && left > 0 && left % 3 == 0 && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let check = |value, decimals, expected| assert_eq!(grouped(value, decimals), expected);
        check(0.126, 2, "0.13");
        check(999.0, 0, "999");
        check(123_456.78, 1, "123,456.8");
        check(-123.0, 0, "-123");
        check(1_234_567.0, 0, "1,234,567");
    }

    #[test]
    fn rows_have_medians_and_ratios() {
        let mut table = Table::new("t".to_owned(), "raw");
        for (name, value) in
            [("raw", 10.0), ("gatewright", 8.0), ("raw", 30.0), ("gatewright", 2.0), ("raw", 20.0)]
        {
            table.add(name, vec![Metric::compared("x/s", value, 0)]);
        }
        let text = table.markdown(&["gatewright", "raw"]);
        assert!(text.contains("| server | x/s | × raw |"), "{text}");
        assert!(text.contains("| gatewright | 5 | 0.25 |"), "{text}");
        assert!(text.contains("| raw | 20 | 1.00 |"), "{text}");
    }
}
