use super::join::Session;
use crate::{Job, TrainError};

impl Session {
    /// Checks that all ranks train the same model on the same data with the same settings.
    ///
    /// # Errors
    /// On a rank that differs from rank 0, with what differs.
    pub(super) fn check_same_job(&self, job: &Job) -> Result<(), TrainError> {
        let Some(gloo) = self.control() else {
            return Ok(());
        };
        let keys = self.next_keys();
        let ours = [
            (
                "settings in [train]",
                job.config.shared_by_ranks().to_string(),
            ),
            ("model", job.model.to_json().to_string()),
            ("data", job.data.id().sha256.clone()),
            ("seed", job.seed.to_string()),
        ];
        for (what, value) in ours {
            if self.is_leader() {
                gloo.set(&keys.of(what), &value)?;
            } else if gloo.wait(&keys.of(what))? != value {
                return Err(TrainError::Disagreement { what });
            }
        }
        Ok(())
    }
}
