"""What if a segment, or a selection, were treated, or the weather turned?"""

from typing import Annotated

from fastapi import APIRouter, Depends

from service.bodies import body_of, openapi_body
from service.problems import responses
from service.schemas_whatif import WhatIf, WhatIfAnswer
from service.security import Reader
from service.state import Db, Running
from service.whatif import answer_whatif

router = APIRouter(tags=["segments"])

BODIES = (WhatIf,)


@router.post("/whatif", responses=responses(401, 404, 415), openapi_extra=openapi_body(WhatIf))
async def ask_whatif(
    _reader: Reader,
    question: Annotated[WhatIf, Depends(body_of(WhatIf))],
    running: Running,
    db: Db,
) -> WhatIfAnswer:
    """Probabilities now, after a weather scenario, and after weather and treatment; nothing is stored.

    At most 500 segments: named, or the worst of a box or district. The answer says what it assumes; a model that was
    learned from observation is no proof that a treatment works.
    """
    return await answer_whatif(db, running.explainer, question)
