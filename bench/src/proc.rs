//! What Linux says about a process: CPU time and resident memory from `/proc`, and the limit of
//! open files. The only module that knows the format of those files.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// `/proc` counts CPU time in ticks of `USER_HZ`, which is 100 per second for every Linux program.
const TICK: Duration = Duration::from_millis(10);

/// CPU time, user plus system, that all threads of the process have used so far.
///
/// # Errors
/// When there is no such process, or no `/proc`: the benchmark runs on Linux only.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let stat = read(pid, "stat")?;
    parse_cpu_time(&stat).with_context(|| format!("cannot read /proc/{pid}/stat: {stat}"))
}

/// Resident memory of the process in KiB.
///
/// # Errors
/// As for [`cpu_time`].
pub fn resident_kib(pid: u32) -> Result<u64> {
    let status = read(pid, "status")?;
    parse_resident_kib(&status).with_context(|| format!("no VmRSS in /proc/{pid}/status"))
}

/// Raises this process's limit of open files, which child processes inherit, as far as it goes.
///
/// # Errors
/// When the result does not allow `sockets` connections.
pub fn allow_open_files(sockets: usize) -> Result<()> {
    const SPARE: u64 = 200;
    let allowed = rlimit::increase_nofile_limit(u64::MAX).context("cannot raise `ulimit -n`")?;
    ensure!(
        allowed >= sockets as u64 + SPARE,
        "{sockets} sockets need {} open files, but only {allowed} are allowed: \
         raise the hard limit (`ulimit -Hn`) or ask for fewer sockets",
        sockets as u64 + SPARE,
    );
    Ok(())
}

fn read(pid: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path)
        .with_context(|| format!("cannot read {path}; the process has ended, or this is not Linux"))
}

/// The program's name stands in parentheses and may contain anything, so count from its end.
fn parse_cpu_time(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * (user + system))
}

fn parse_resident_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_survives_odd_names() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 1 0";
        assert_eq!(parse_cpu_time(stat), Some(Duration::from_secs(3)));
    }

    #[test]
    fn resident_memory_is_in_kib() {
        let status = "Name:\tx\nVmRSS:\t   12345 kB\nThreads:\t1\n";
        assert_eq!(parse_resident_kib(status), Some(12345));
    }
}
