import { app } from '@azure/functions';

import './activities/activities.ts';
import './orchestrators/orchestrators.ts';
import './triggers/clean-up.ts';
import './triggers/connections.ts';
import './triggers/event-queue.ts';
import './triggers/events.ts';
import './triggers/health.ts';
import './triggers/loads.ts';
import './triggers/operations.ts';
import './triggers/runs.ts';
import './triggers/tick.ts';

app.setup({ enableHttpStream: false });
