use std::path::Path;

use super::{join::Session, notice::Notice};
use crate::{Checkpoint, TrainError};

impl Session {
    /// Picks the checkpoint to resume from: rank 0, which knows the run's input hash, finds the
    /// newest intact one and names it, the other ranks open the same.
    pub(super) fn pick_checkpoint(
        &self,
        root: &Path,
        input_hash: Option<&str>,
        on_notice: &mut dyn FnMut(&Notice),
    ) -> Result<Option<Checkpoint>, TrainError> {
        let key = self.next_keys().of("checkpoint");
        if let Some(gloo) = self.control()
            && !self.is_leader()
        {
            let name = gloo.wait(&key)?;
            if name.is_empty() {
                return Ok(None);
            }
            let path = root.join(name);
            // Rank 0 has just checked every hash.
            return Checkpoint::reopen(&path)
                .map(Some)
                .map_err(|source| TrainError::OtherFolder {
                    source: Box::new(source),
                });
        }
        let found = Checkpoint::newest(root, &mut |line| {
            on_notice(&Notice::Checkpoints(line.to_owned()));
        })?;
        if let Some(found) = &found
            && let (Some(theirs), Some(ours)) = (found.state().input_hash.as_deref(), input_hash)
            && theirs != ours
        {
            return Err(TrainError::OtherRun {
                path: found.path().into(),
                what: "model files or data".into(),
            });
        }
        if let Some(gloo) = self.control() {
            let name = found.as_ref().and_then(|found| found.path().file_name());
            gloo.set(&key, &name.unwrap_or_default().to_string_lossy())?;
        }
        Ok(found)
    }
}
