"""What can go wrong around a service goes wrong, one thing after another: it stays up, and who is not concerned notices nothing."""

from tests.drills import host, models, upheaval
from tests.drills.figures import Figure, Ground

ANYWHERE = False


def drill(ground: Ground) -> list[Figure]:
    """All figures."""
    return [
        host.clock(ground),
        *host.files(ground),
        host.stalled_log(ground),
        host.full_log(ground),
        *upheaval.gone(ground),
        *upheaval.littered(ground),
        models.nan(ground),
        *models.hangs(ground),
        *models.refused(ground),
        models.greedy(ground),
        models.leavers(ground),
    ]
