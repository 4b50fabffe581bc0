import * as df from 'durable-functions';

import { ORCHESTRATORS } from '../../shared/contracts/durable.ts';
import { lane } from './lane.ts';
import { loadRun } from './load-run.ts';
import { loadShard } from './load-shard.ts';
import { operation } from './operation.ts';
import { planner } from './planner.ts';
import { settler } from './settler.ts';
import { endingQuietly } from './steps.ts';

df.app.orchestration(ORCHESTRATORS.loadRun, loadRun);
df.app.orchestration(ORCHESTRATORS.planner, endingQuietly(planner));
df.app.orchestration(ORCHESTRATORS.lane, endingQuietly(lane));
df.app.orchestration(ORCHESTRATORS.loadShard, loadShard);
df.app.orchestration(ORCHESTRATORS.settler, endingQuietly(settler));
df.app.orchestration(ORCHESTRATORS.operation, endingQuietly(operation));
