import { describeForeignClient } from './foreign-client-suite.ts';
import { awsCli } from './foreign-clients.ts';

describeForeignClient(awsCli);
