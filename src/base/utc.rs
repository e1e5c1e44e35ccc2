//! Dates in UTC: the calendar, and the form of RFC 3339.

use std::fmt;

/// A time in UTC. Displayed to the second: `2026-11-26T20:41:03Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Utc {
    pub(crate) year: u64,
    /// One is January.
    pub(crate) month: u64,
    /// Of the month, from one on.
    pub(crate) day: u64,
    /// Zero is Sunday.
    pub(crate) weekday: u64,
    pub(crate) hour: u64,
    pub(crate) minute: u64,
    pub(crate) second: u64,
}

impl Utc {
    /// The time so many milliseconds after 1970-01-01.
    ///
    /// The calendar repeats after 400 years. Counted from a first of March, a leap day is the last of its
    /// year, so that all months before it begin on the same day in every year.
    pub(crate) fn from_ms(ms: u64) -> Self {
        let seconds = ms / 1_000;
        let days = seconds / DAY_SECONDS + DAYS_BEFORE_1970;
        let (cycle, day) = (days / CYCLE_DAYS, days % CYCLE_DAYS);
        // The last day of 4, of 100 and of 400 years would begin one year more.
        let leap_days = day / (4 * 365) - day / (CENTURY_DAYS) + day / (CYCLE_DAYS - 1);
        let year_of_cycle = (day - leap_days) / 365;
        let day = day - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
        // Five months from March on have 153 days.
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = 400 * cycle + year_of_cycle + u64::from(month <= 2);
        // The first day that is counted was a Wednesday.
        let weekday = (days + 3) % 7;
        let second = seconds % DAY_SECONDS;
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        Self { year, month, day, weekday, hour, minute, second }
    }
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, weekday: _, hour, minute, second } = self;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

const DAY_SECONDS: u64 = 86_400;
/// From 0000-03-01 to 1970-01-01.
const DAYS_BEFORE_1970: u64 = 719_468;
/// Days of 400 years.
const CYCLE_DAYS: u64 = 146_097;
/// Days of 100 years, but for the leap day of every 400.
const CENTURY_DAYS: u64 = 36_524;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_are_written_as_dates() {
        let rows = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_582_934_400, "2020-02-29T00:00:00Z"),
            (1_795_725_663, "2026-11-26T20:41:03Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (13_574_563_200, "2400-02-29T00:00:00Z"),
        ];
        for (seconds, date) in rows {
            assert_eq!(Utc::from_ms(seconds * 1_000 + 999).to_string(), date);
        }
        assert!(Utc::from_ms(u64::MAX).to_string().ends_with('Z'), "no time is too late");
    }

    /// Each day is the one after the day before it.
    #[test]
    fn no_day_of_four_hundred_years_is_left_out() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..CYCLE_DAYS {
            let date = Utc::from_ms(days * DAY_SECONDS * 1_000);
            assert_eq!(date.to_string(), format!("{year:04}-{month:02}-{day:02}T00:00:00Z"));
            assert_eq!(date.weekday, (days + 4) % 7, "1970 began on a Thursday: {date}");
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 => 28 + u32::from(is_leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
    }
}
