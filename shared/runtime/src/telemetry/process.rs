//! What the process uses of the machine, from /proc, under the names that every Prometheus client uses.

use std::fmt::Write;
use std::fs;

/// Ticks a second in /proc/self/stat. Source: Linux's USER_HZ, 100 on every architecture we build for.
const TICKS: f64 = 100.0;
/// Fields 14 and 15 of /proc/self/stat (utime, stime), counted from the field after the name. Source: proc_pid_stat(5).
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;

/// Appends the process metrics; what can't be read is left out.
pub(super) fn render(start_seconds: i64, text: &mut String) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    line(text, "process_cpu_seconds_total", "counter", cpu_seconds());
    line(text, "process_resident_memory_bytes", "gauge", field(&status, "VmRSS:").map(|kibibytes| kibibytes * 1024.0));
    line(text, "process_virtual_memory_bytes", "gauge", field(&status, "VmSize:").map(|kibibytes| kibibytes * 1024.0));
    line(text, "process_threads", "gauge", field(&status, "Threads:"));
    line(text, "process_open_fds", "gauge", fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64));
    line(text, "process_max_fds", "gauge", max_fds());
    line(text, "process_start_time_seconds", "gauge", Some(start_seconds as f64));
}

fn line(text: &mut String, name: &str, kind: &str, value: Option<f64>) {
    if let Some(value) = value {
        // Writing to a string can't fail.
        let _ = write!(text, "# TYPE {name} {kind}\n{name} {value}\n\n");
    }
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name stands in parentheses and may hold spaces and parentheses itself.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(USER_TICKS)? + ticks(SYSTEM_TICKS)?) / TICKS)
}

fn field(status: &str, name: &str) -> Option<f64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

fn max_fds() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_process_metric_is_there_and_grows_with_use() {
        let mut text = String::new();
        render(7, &mut text);
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).unwrap().parse::<f64>().unwrap();
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_threads") >= 2.0);
        assert!(value("process_open_fds") >= 3.0 && value("process_max_fds") >= value("process_open_fds"));
        assert_eq!(value("process_start_time_seconds"), 7.0);
        let before = cpu_seconds().unwrap();
        while cpu_seconds().unwrap() <= before {
            std::hint::black_box((0..100_000_u64).sum::<u64>());
        }
    }
}
