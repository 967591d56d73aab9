//! Devices by their names: `cpu`, and with the cargo features `wgpu` and `cuda` GPUs as `wgpu`, `wgpu:1`,
//! `cuda:0` and so on.

use burn::tensor::Device;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
use burn::tensor::DeviceType;

/// The device of this name.
///
/// `cpu` is always there. `wgpu` (Vulkan, Metal or DirectX 12) and `cuda` are there in builds with the cargo
/// feature of that name; a number behind a colon says which GPU, from 0.
///
/// # Errors
///
/// A message with the devices that this program was built for and that this machine has.
///
/// ```
/// assert!(luthier_train::device("cpu").is_ok());
/// let error = luthier_train::device("tpu").unwrap_err();
/// assert!(error.contains("there is cpu"), "{error}");
/// ```
pub fn device(name: &str) -> Result<Device, String> {
    if name == "cpu" {
        return Ok(Device::flex());
    }
    let (kind, number) = match name.split_once(':') {
        Some((kind, number)) => (kind, number.parse::<usize>().ok()),
        None => (name, Some(0)),
    };
    let mut present = vec!["cpu".to_owned()];
    for (known, found) in gpus() {
        present.extend((0..found.len()).map(|number| format!("{known}:{number}")));
        if known == kind
            && let Some(device) = number.and_then(|number| found.into_iter().nth(number))
        {
            return Ok(device);
        }
    }
    let missing = ["wgpu", "cuda"].contains(&kind) && gpus().iter().all(|(known, _)| *known != kind);
    let help = if missing {
        format!("; this program was built without GPUs of this kind: build it with `--features {kind}`")
    } else {
        String::new()
    };
    Err(format!("there is no device {name:?} here; there is {}{help}", present.join(", ")))
}

/// Devices for trials beside each other, by their names or by the bare numbers of GPUs. Numbers are of the kind that
/// `device` names; where that is the CPU, of the kind that this program was built for, `cuda` before `wgpu`.
///
/// # Errors
///
/// As [`device`], and where one is named twice or their kinds differ, as figures of different kinds do not compare.
///
/// ```
/// let names = ["cpu".to_owned(), "cuda:0".to_owned()];
/// let error = luthier_train::devices("cpu", &names).unwrap_err();
/// assert!(error.contains("of one kind"), "{error}");
/// ```
pub fn devices(of: &str, names: &[String]) -> Result<Vec<Device>, String> {
    let kind = match of.split(':').next() {
        Some(kind) if kind != "cpu" => kind,
        _ if cfg!(feature = "wgpu") && !cfg!(feature = "cuda") => "wgpu",
        _ => "cuda",
    };
    let full = |name: &String| {
        let name = name.trim();
        if name.parse::<usize>().is_ok() { format!("{kind}:{name}") } else { name.to_owned() }
    };
    let names: Vec<String> = names.iter().map(full).collect();
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            return Err(format!("expected different devices, found {name:?} twice"));
        }
        if name.split(':').next() != names[0].split(':').next() {
            return Err(format!("expected devices of one kind, found {:?} and {name:?}", names[0]));
        }
    }
    names.iter().map(|name| device(name)).collect()
}

/// The kind of a device: `cpu`, `cuda` or `wgpu`.
pub(crate) fn kind(device: &Device) -> &'static str {
    if *device == Device::flex() {
        return "cpu";
    }
    gpus().into_iter().find(|(_, found)| found.contains(device)).map_or("gpu", |(kind, _)| kind)
}

/// The GPUs of each kind that this program was built for.
fn gpus() -> Vec<(&'static str, Vec<Device>)> {
    Vec::from([
        #[cfg(feature = "wgpu")]
        ("wgpu", found(DeviceType::Wgpu)),
        #[cfg(feature = "cuda")]
        ("cuda", found(DeviceType::Cuda)),
    ])
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn found(kind: DeviceType) -> Vec<Device> {
    // Without a driver, looking for GPUs may panic; then there is none.
    let look = || Device::enumerate(kind).iter().cloned().collect::<Vec<Device>>();
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(look)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_not_there_names_those_that_are() {
        let found = device("cuda:7").expect_err("no such GPU");
        assert!(found.contains("there is no device \"cuda:7\" here; there is cpu"), "{found}");
        #[cfg(not(feature = "cuda"))]
        assert!(found.contains("--features cuda"), "{found}");
    }

    #[test]
    fn lists_of_devices() {
        let devices = |of: &str, names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            super::devices(of, &names).map(|devices| devices.len())
        };
        assert_eq!(devices("cpu", &["cpu"]), Ok(1));
        let error = devices("wgpu:3", &["907", "908"]).expect_err("no such GPU");
        assert!(error.contains("there is no device \"wgpu:907\""), "{error}");
        #[cfg(not(feature = "wgpu"))]
        assert!(devices("cpu", &["907"]).expect_err("no such GPU").contains("\"cuda:907\""));
        let error = devices("cuda", &["0", "cuda:0"]).expect_err("the same");
        assert_eq!(error, "expected different devices, found \"cuda:0\" twice");
        let error = devices("cuda", &["0", "cpu"]).expect_err("of two kinds");
        assert_eq!(error, "expected devices of one kind, found \"cuda:0\" and \"cpu\"");
    }
}
