use std::path::{Component, Path, absolute};

use crate::{
    FileError, FileHash, Manifest, Result,
    in_progress::{IN_PROGRESS, InProgress},
    manifest::MANIFEST,
};

/// Whether an input is still what another stage of the run wrote: the hash just found against that
/// stage's manifest. Files from elsewhere, and files that no stage says it wrote, are taken as they
/// are.
///
/// # Errors
/// When the input or its stage's manifest is damaged, or that stage has not finished. The error
/// says what to run again.
pub(crate) fn check(run: &Path, dir: &Path, input: &Path, found: &FileHash) -> Result<()> {
    let whole = |path: &Path| absolute(path).map_err(|e| FileError::io(path, "find", e));
    let (run, dir, file) = (whole(run)?, whole(dir)?, whole(input)?);
    let Ok(inside) = file.strip_prefix(&run) else {
        return Ok(());
    };
    let mut parts = inside.components();
    let Some(Component::Normal(folder)) = parts.next() else {
        return Ok(());
    };
    let (name, folder) = (parts.as_path(), run.join(folder));
    if folder == dir || name.as_os_str().is_empty() {
        return Ok(());
    }
    let again =
        |stage: &str| format!("run stage `{stage}` again (`cargo xtask repro --from {stage}`)");
    let manifest = folder.join(MANIFEST);
    if !manifest.exists() {
        if let Ok(in_progress) = InProgress::read(&folder.join(IN_PROGRESS)) {
            let stage = &in_progress.stage;
            return Err(FileError::damaged(
                input,
                format!(
                    "stage `{stage}` began to make it again and has not finished; {}",
                    again(stage)
                ),
            ));
        }
        return Ok(());
    }
    let manifest = match Manifest::read(&manifest) {
        Err(FileError::Damaged { path, what }) => {
            // Which stage it is stands in what cannot be believed.
            let folder = folder.file_name().unwrap_or_default().to_string_lossy();
            return Err(FileError::Damaged {
                path,
                what: format!("{what}; run the stage that writes {folder}/ again"),
            });
        }
        manifest => manifest?,
    };
    match manifest.outputs.get(&*name.to_string_lossy()) {
        Some(written) if written != found => Err(FileError::damaged(
            input,
            format!(
                "{} bytes with another hash than stage `{}` wrote ({} bytes); {}",
                found.bytes,
                manifest.stage,
                written.bytes,
                again(&manifest.stage)
            ),
        )),
        _ => Ok(()),
    }
}
