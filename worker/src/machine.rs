//! What of this machine decides the last bit of a result.

use artifacts::Kernel;

/// The tensor library this build links, and the options that choose its kernels.
const LIBRARY: &str = "libtorch 2.11.0 cpu";

/// CPU model, threads and tensor library: results are equal bit for bit where these are.
#[must_use]
pub fn kernel(threads: u32, degrade: u8) -> Kernel {
    Kernel { cpu: cpu_model(), threads, library: LIBRARY.to_owned(), degrade }
}

/// The CPU's name as the kernel gives it; `unknown` where it gives none.
#[must_use]
pub fn cpu_model() -> String {
    let described = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = described.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    // Cloud machines often hide the model's name; family and model number still tell generations apart.
    match (field("model name"), field("cpu family"), field("model")) {
        (Some(name), Some(family), Some(model)) => format!("{name} family {family} model {model}"),
        (Some(name), _, _) => name,
        (None, _, _) => "unknown".to_owned(),
    }
}
